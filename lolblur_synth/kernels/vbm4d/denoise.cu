// V-BM4D style denoising on CUDA, without grouping: block_matching.py, volumes.py and aggregation.py on the CPU.
//
// A reference block is at (ys[row], xs[n]) of the grid rows x columns; its trajectory passes through the frames
// slots[0 .. 2 h] of a ring, itself in the middle, and has L <= 9 blocks of 8x8. The transform is separable, so time
// comes first here: one thread transforms the L pixels of one place of a volume, then one thread filters one 8x8 plane
// of its spectrum in registers, then one thread transforms L pixels back and adds them to the frames. Sums are integers
// (fixed point), so that they do not depend on the order in which threads arrive. Plain C apart from the index
// built-ins and __fmul_rn, a product that is never fused with a sum.

#define LONGEST 9  // blocks of the longest volume
#define SIDE 8     // pixels of a block
#define BLOCK 64
#define NEVER 3e38f

// active[row, n] = whether some pixel of that block of weight (H, W) has no estimate yet
extern "C" __global__ void uncovered(const unsigned long long *__restrict__ weight, const int *__restrict__ ys,
                                     const int *__restrict__ xs, int *__restrict__ active, int rows, int columns,
                                     int width) {
    int n = column_of_thread(), row = row_of_thread();
    if (n >= columns || row >= rows) return;
    const unsigned long long *corner = weight + (size_t)ys[row] * width + xs[n];
    int open = 0;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) open |= corner[(size_t)y * width + x] == 0;
    active[(size_t)row * columns + n] = open;
}

// noise[row, n] = table[level], the level being the mean of that block of luma (H, W); table (256) is read between its
// entries
extern "C" __global__ void noise_at(const float *__restrict__ luma, const int *__restrict__ ys,
                                    const int *__restrict__ xs, const float *__restrict__ table,
                                    float *__restrict__ noise, int rows, int columns, int width) {
    int n = column_of_thread(), row = row_of_thread();
    if (n >= columns || row >= rows) return;
    const float *corner = luma + (size_t)ys[row] * width + xs[n];
    float level = 0;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) level += corner[(size_t)y * width + x];
    level = fminf(fmaxf(level / BLOCK, 0), 254.99f);
    int below = (int)level;
    noise[(size_t)row * columns + n] = table[below] + (table[below + 1] - table[below]) * (level - below);
}

// ---- trajectories ----

// Squared distance of 8x8 blocks. Order and rounding are those of block_matching.py, so that of two displacements that
// are as good as each other both devices take the same one.
__device__ __forceinline__ float distance(const float *reference, const float *__restrict__ block, int width) {
    float columns[SIDE];
#pragma unroll
    for (int x = 0; x < SIDE; x++) {
        float e[SIDE];
#pragma unroll
        for (int y = 0; y < SIDE; y++) e[y] = reference[y * SIDE + x] - block[(size_t)y * width + x];
        float above = fmaf(e[0], e[0], e[1] * e[1]) + fmaf(e[2], e[2], e[3] * e[3]);
        float below = fmaf(e[4], e[4], e[5] * e[5]) + fmaf(e[6], e[6], e[7] * e[7]);
        columns[x] = above + below;
    }
    return ((columns[0] + columns[1]) + (columns[2] + columns[3])) +
           ((columns[4] + columns[5]) + (columns[6] + columns[7]));
}

// the middle one of `count` sorted values, `stride` apart
__device__ __forceinline__ int median(const short *__restrict__ values, int count, int stride) {
    for (int i = 0; i < count; i++) {
        int value = values[i * stride], less = 0, equal = 0;
        for (int j = 0; j < count; j++) {
            less += values[j * stride] < value;
            equal += values[j * stride] == value;
        }
        if (less <= count / 2 && count / 2 < less + equal) return value;
    }
    return 0;
}

// Step k of the trajectories, both ways (z: 0 backwards, 1 forwards): the best displacement (dy, dx) of each block in
// the frame k away goes to path (rows, columns, 2 h + 1, 2), extent (rows, columns, 2) counts the frames followed.
// Where no match within `near` is close, one is sought within `far`. Blocks of a tile share the centre of the search:
// their median displacement at k - 1, continued at constant speed.
extern "C" __global__ void follow(const float *__restrict__ frames, const int *__restrict__ slots,
                                  const int *__restrict__ ys, const int *__restrict__ xs,
                                  const int *__restrict__ active, short *path, short *extent, int k, int h, int tile,
                                  int near, int far, float penalty, float close, float limit, int rows, int columns,
                                  int height, int width) {
    int n = column_of_thread(), row = row_of_thread(), side = layer_of_thread();
    if (n >= columns || row >= rows || side > 1) return;
    size_t here = (size_t)row * columns + n;
    int span = 2 * h + 1, place = side ? h + k : h - k, slot = slots[place];
    if (k == 1) extent[here * 2 + side] = 0;
    if (k == 1 && side) path[(here * span + h) * 2] = path[(here * span + h) * 2 + 1] = 0;
    if (slot < 0) return;
    int first = n / tile * tile, count = min(tile, columns - first), asked = 0;
    for (int i = 0; i < count; i++) asked |= active[(size_t)row * columns + first + i];
    if (!asked) return;
    int y = ys[row], x = xs[n], cy = 0, cx = 0;
    if (k > 1) {
        const short *before = path + (((size_t)row * columns + first) * span + (side ? h + k - 1 : h - k + 1)) * 2;
        cy = (int)rintf((float)(median(before, count, 2 * span) * k) / (k - 1));
        cx = (int)rintf((float)(median(before + 1, count, 2 * span) * k) / (k - 1));
    }
    size_t plane = (size_t)height * width;
    const float *from = frames + slots[h] * 3 * plane + (size_t)y * width + x, *to = frames + slot * 3 * plane;
    float reference[BLOCK], best = NEVER, cost = NEVER;
    int found_y = cy, found_x = cx;
#pragma unroll
    for (int i = 0; i < BLOCK; i++) reference[i] = from[(size_t)(i / SIDE) * width + i % SIDE];
    for (int again = 0; again < 2; again++) {
        if (again && (cost <= close || !active[here] || extent[here * 2 + side] != k - 1)) break;
        int radius = again ? far : near;
        best = cost = NEVER, found_y = cy, found_x = cx;
        for (int dy = max(cy - radius, -y); dy <= min(cy + radius, height - SIDE - y); dy++)
            for (int dx = max(cx - radius, -x); dx <= min(cx + radius, width - SIDE - x); dx++) {
                float d = distance(reference, to + (size_t)(y + dy) * width + x + dx, width);
                float fee = __fmul_rn(penalty, (float)(abs(dy - cy) + abs(dx - cx)));
                if (d + fee < best) best = d + fee, cost = d, found_y = dy, found_x = dx;
            }
    }
    path[(here * span + place) * 2] = (short)found_y;
    path[(here * span + place) * 2 + 1] = (short)found_x;
    if (extent[here * 2 + side] == k - 1 && cost <= limit) extent[here * 2 + side] = (short)k;
}

// ---- volumes: spectra (3, LONGEST, grid rows of this call, columns, 64) ----

// where the l-th block of a trajectory lies, and in which of its 2 h + 1 frames
__device__ __forceinline__ size_t offset(const short *__restrict__ path, size_t here, int k, int span, int y, int x,
                                         int width) {
    const short *moved = path + (here * span + k) * 2;
    return (size_t)(y + moved[0]) * width + x + moved[1];
}

#define VOLUME_OF_THREAD                                                      \
    int i = column_of_thread() % BLOCK, n = column_of_thread() / BLOCK;       \
    int row = row_of_thread(), c = layer_of_thread();                         \
    if (n >= columns || row >= rows) return;                                  \
    size_t here = (size_t)(first + row) * columns + n;                        \
    if (!active[here]) return;                                                \
    int span = 2 * h + 1, before = extent[here * 2], length = before + extent[here * 2 + 1] + 1; \
    int y = ys[first + row] + i / SIDE, x = xs[n] + i % SIDE;

// Gather, and transform over time: one pixel of all blocks of a volume. matrices (LONGEST + 1, LONGEST, LONGEST).
// Grid: 64 columns x rows x 3.
extern "C" __global__ void over_time(const float *__restrict__ planes, const int *__restrict__ slots,
                                     const int *__restrict__ ys, const int *__restrict__ xs,
                                     const int *__restrict__ active, const short *__restrict__ path,
                                     const short *__restrict__ extent, const float *__restrict__ matrices,
                                     float *__restrict__ spectra, int h, int first, int rows, int columns, int height,
                                     int width) {
    VOLUME_OF_THREAD
    if (c >= 3) return;
    const float *matrix = matrices + length * LONGEST * LONGEST;
    float v[LONGEST];
#pragma unroll
    for (int l = 0; l < LONGEST; l++) {
        int k = h - before + l;
        v[l] = l < length ? planes[((size_t)slots[min(k, 2 * h)] * 3 + c) * height * width +
                                   offset(path, here, min(k, 2 * h), span, y, x, width)]
                          : 0;
    }
    float *out = spectra + (((size_t)c * LONGEST * rows + row) * columns + n) * BLOCK + i;
#pragma unroll
    for (int k = 0; k < LONGEST; k++) {
        if (k >= length) break;
        float sum = 0;
#pragma unroll
        for (int l = 0; l < LONGEST; l++) sum += matrix[k * LONGEST + l] * v[l];
        out[(size_t)k * rows * columns * BLOCK] = sum;
    }
}

// Transform back over time, and add to the frames: total (slots, 4, H, W) in fixed point, planes 0..2 the pixels times
// window and weight, plane 3 window times weight. power (3, LONGEST, rows, columns): see `hard_threshold`; `floor`: of
// the power of a channel; `unit` scales the weight, `most` bounds it. Grid: 64 columns x rows x 4.
extern "C" __global__ void aggregate(const float *__restrict__ spectra, const float *__restrict__ power,
                                     const int *__restrict__ targets, const int *__restrict__ ys,
                                     const int *__restrict__ xs, const int *__restrict__ active,
                                     const short *__restrict__ path, const short *__restrict__ extent,
                                     const float *__restrict__ noise, const float *__restrict__ transposed,
                                     const float *__restrict__ sigma, const float *__restrict__ window,
                                     unsigned long long *total, float floor, float unit, float most, int h, int first,
                                     int rows, int columns, int height, int width) {
    VOLUME_OF_THREAD
    if (c >= 4) return;
    size_t step = (size_t)rows * columns, volume = (size_t)row * columns + n;
    float energy = 1e-6f;
    for (int channel = 0; channel < 3; channel++) {
        float sum = 0;
        for (int k = 0; k < length; k++) sum += power[(channel * LONGEST + k) * step + volume];
        energy += sigma[channel] * sigma[channel] * noise[here] * fmaxf(sum, floor);
    }
    float scale = fminf(window[i] / energy * unit, most);
    float v[LONGEST];
#pragma unroll
    for (int k = 0; k < LONGEST; k++)
        v[k] = c < 3 && k < length ? spectra[((c * LONGEST + k) * step + volume) * BLOCK + i] : 0;
    const float *matrix = transposed + length * LONGEST * LONGEST;
#pragma unroll
    for (int l = 0; l < LONGEST; l++) {
        if (l >= length) break;
        int k = h - before + l, slot = targets[k];
        if (slot < 0) continue;
        float value = 1;
        if (c < 3) {
            value = 0;
#pragma unroll
            for (int m = 0; m < LONGEST; m++) value += matrix[l * LONGEST + m] * v[m];
        }
        atomicAdd(total + ((size_t)slot * 4 + c) * height * width + offset(path, here, k, span, y, x, width),
                  (unsigned long long)llrintf(value * scale));
    }
}

// ---- shrinkage: one 8x8 plane of a spectrum in registers ----

#define C0 0.35355339059327373f  // sqrt(1/8)
#define C1 0.49039264020161522f  // cos(k pi / 16) / 2
#define C2 0.46193976625564337f
#define C3 0.41573480615127262f
#define C5 0.27778511650980109f
#define C6 0.19134171618254492f
#define C7 0.09754516100806412f

__device__ __forceinline__ void forward8(float *v, int s) {
    float s0 = v[0] + v[7 * s], s1 = v[s] + v[6 * s], s2 = v[2 * s] + v[5 * s], s3 = v[3 * s] + v[4 * s];
    float d0 = v[0] - v[7 * s], d1 = v[s] - v[6 * s], d2 = v[2 * s] - v[5 * s], d3 = v[3 * s] - v[4 * s];
    float e0 = s0 + s3, e1 = s1 + s2, o0 = s0 - s3, o1 = s1 - s2;
    v[0] = C0 * (e0 + e1);
    v[s] = C1 * d0 + C3 * d1 + C5 * d2 + C7 * d3;
    v[2 * s] = C2 * o0 + C6 * o1;
    v[3 * s] = C3 * d0 - C7 * d1 - C1 * d2 - C5 * d3;
    v[4 * s] = C0 * (e0 - e1);
    v[5 * s] = C5 * d0 - C1 * d1 + C7 * d2 + C3 * d3;
    v[6 * s] = C6 * o0 - C2 * o1;
    v[7 * s] = C7 * d0 - C5 * d1 + C3 * d2 - C1 * d3;
}

__device__ __forceinline__ void inverse8(float *v, int s) {
    float a1 = v[s], a2 = v[2 * s], a3 = v[3 * s], a5 = v[5 * s], a6 = v[6 * s], a7 = v[7 * s];
    float e0 = C0 * (v[0] + v[4 * s]), e1 = C0 * (v[0] - v[4 * s]);
    float p = C2 * a2 + C6 * a6, q = C6 * a2 - C2 * a6;
    float o0 = C1 * a1 + C3 * a3 + C5 * a5 + C7 * a7, o1 = C3 * a1 - C7 * a3 - C1 * a5 - C5 * a7;
    float o2 = C5 * a1 - C1 * a3 + C7 * a5 + C3 * a7, o3 = C7 * a1 - C5 * a3 + C3 * a5 - C1 * a7;
    float b0 = e0 + p, b1 = e1 + q, b2 = e1 - q, b3 = e0 - p;
    v[0] = b0 + o0, v[s] = b1 + o1, v[2 * s] = b2 + o2, v[3 * s] = b3 + o3;
    v[4 * s] = b3 - o3, v[5 * s] = b2 - o2, v[6 * s] = b1 - o1, v[7 * s] = b0 - o0;
}

__device__ __forceinline__ void load_transformed(const float *__restrict__ plane, float *v) {
    const float4 *quads = (const float4 *)plane;
#pragma unroll
    for (int i = 0; i < BLOCK / 4; i++) {
        float4 quad = quads[i];
        v[4 * i] = quad.x, v[4 * i + 1] = quad.y, v[4 * i + 2] = quad.z, v[4 * i + 3] = quad.w;
    }
#pragma unroll
    for (int x = 0; x < SIDE; x++) forward8(v + x, SIDE);
#pragma unroll
    for (int y = 0; y < SIDE; y++) forward8(v + SIDE * y, 1);
}

__device__ __forceinline__ void store_inverse(float *v, float *__restrict__ plane) {
#pragma unroll
    for (int y = 0; y < SIDE; y++) inverse8(v + SIDE * y, 1);
#pragma unroll
    for (int x = 0; x < SIDE; x++) inverse8(v + x, SIDE);
    float4 *quads = (float4 *)plane;
#pragma unroll
    for (int i = 0; i < BLOCK / 4; i++) quads[i] = make_float4(v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]);
}

#define PLANE_OF_THREAD                                                                    \
    int n = column_of_thread(), row = row_of_thread(), layer = layer_of_thread();          \
    if (n >= columns || row >= rows || layer >= 3 * LONGEST) return;                       \
    size_t here = (size_t)(first + row) * columns + n;                                     \
    int c = layer / LONGEST;                                                               \
    if (!active[here] || layer % LONGEST > extent[here * 2] + extent[here * 2 + 1]) return;              \
    size_t volume = ((size_t)layer * rows + row) * columns + n;                            \
    float v[BLOCK];

// Zero what is below a threshold, except the mean of the volume. strength (3, 2): the threshold of each channel in
// sigma, at the mean over time and at other temporal frequencies. power: how many values stay. The gain rises from 0 to
// 1 within `ramp` of the threshold, so that a value which rounds to its other side than on the CPU changes nothing that
// can be seen.
// Grid: columns x rows x 27.
extern "C" __global__ void hard_threshold(float *__restrict__ spectra, float *__restrict__ power,
                                          const int *__restrict__ active, const short *__restrict__ extent,
                                          const float *__restrict__ noise, const float *__restrict__ sigma,
                                          const float *__restrict__ strength, float ramp, int first, int rows,
                                          int columns) {
    PLANE_OF_THREAD
    load_transformed(spectra + volume * BLOCK, v);
    float threshold = strength[2 * c + (layer % LONGEST > 0)] * sigma[c] * sqrtf(noise[here]), mean = v[0], kept = 0;
    float first_kept = threshold * (1 - ramp), slope = 1 / (threshold * ramp);
#pragma unroll
    for (int i = 0; i < BLOCK; i++) {
        float gain = fminf(fmaxf((fabsf(v[i]) - first_kept) * slope, 0), 1);
        v[i] *= gain;
        kept += gain;
    }
    if (layer % LONGEST == 0) v[0] = mean;
    power[volume] = kept;
    store_inverse(v, spectra + volume * BLOCK);
}

// Multiply by the empirical Wiener gain W = p^2 / (p^2 + s sigma^2) of prior, the volumes of the first pass's result;
// s: strength (3, 2), as above. power: ||W||^2. Grid: columns x rows x 27.
extern "C" __global__ void wiener(float *__restrict__ spectra, const float *__restrict__ prior,
                                  float *__restrict__ power, const int *__restrict__ active,
                                  const short *__restrict__ extent, const float *__restrict__ noise,
                                  const float *__restrict__ sigma, const float *__restrict__ strength, int first,
                                  int rows, int columns) {
    PLANE_OF_THREAD
    float gain[BLOCK], variance = strength[2 * c + (layer % LONGEST > 0)] * sigma[c] * sigma[c] * noise[here], norm = 0;
    load_transformed(prior + volume * BLOCK, gain);
    load_transformed(spectra + volume * BLOCK, v);
#pragma unroll
    for (int i = 0; i < BLOCK; i++) {
        float squared = gain[i] * gain[i], w = squared / (squared + variance);
        v[i] *= w;
        norm += w * w;
    }
    power[volume] = norm;
    store_inverse(v, spectra + volume * BLOCK);
}

// estimate (3, H, W) = total[:3] / total[3] of one slot of total, which is zero afterwards
extern "C" __global__ void normalise(long long *__restrict__ total, float *__restrict__ estimate, int height,
                                     int width) {
    int x = column_of_thread(), y = row_of_thread();
    if (x >= width || y >= height) return;
    size_t plane = (size_t)height * width, place = (size_t)y * width + x;
    double weight = (double)total[3 * plane + place];
    for (int c = 0; c < 3; c++) {
        estimate[c * plane + place] = (float)(total[c * plane + place] / weight);
        total[c * plane + place] = 0;
    }
    total[3 * plane + place] = 0;
}
