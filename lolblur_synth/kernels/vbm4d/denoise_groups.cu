// Groups of similar volumes and their 4-D transform on CUDA: what kernels/vbm4d/paper_trajectories.py and groups.py do on the CPU.
//
// A trajectory starts at every place of rows x columns blocks of n x n pixels, n <= 8, and has L <= 9 blocks. A group is
// a reference and up to `most` - 1 volumes like it, cut to the L frames of the reference; members (groups, most, 2) are
// (y, x), the reference first, counts how many, a power of two. The transform is separable: one thread gathers one pixel
// of a volume and transforms over time, one thread transforms one 8x8 plane, one thread takes one value of all members
// through the Haar transform and the shrinkage, and back the same way. Blocks lie in 8x8 values, zero beyond n: a zero
// stays one. Sums where threads meet are integers (fixed point), so that they do not depend on the order in which
// threads arrive. Plain C apart from the index built-ins.

#define LONGEST 9  // blocks of the longest volume
#define SIDE 8     // values of a row of a block
#define BLOCK 64
#define MOST 32  // volumes of the largest group
#define NEVER 3e38f

// squared distance of n x n blocks, width pixels from row to row
__device__ __forceinline__ float square_distance(const float *a, const float *b, int width, int n) {
    float total = 0;
#pragma unroll
    for (int r = 0; r < SIDE; r++) {
        if (r >= n) break;
#pragma unroll
        for (int c = 0; c < SIDE; c++) {
            if (c >= n) break;
            float e = a[(size_t)r * width + c] - b[(size_t)r * width + c];
            total += e * e;
        }
    }
    return total;
}

// ---- trajectories of the paper (section III.B): each block is compared with the block found in the frame before ----

// frames (slots, 3, H, W), compared in channel 0; slots (2 h + 1); path (rows, columns, 2 h + 1, 2), extent (rows,
// columns, 2). range: N_S; gp, gw, sw, gd, limit: see kernels/vbm4d/paper_trajectories.py. What decides on whole pixels is double, as there.
// Grid: columns x rows x 2 (backwards, forwards).
extern "C" __global__ void chains(const float *__restrict__ frames, const int *__restrict__ slots,
                                  short *__restrict__ path, short *__restrict__ extent, double gp, double gw,
                                  double sw, float gd, float limit, int range, int n, int h, int rows, int columns,
                                  int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), side = layer_of_thread();
    if (x >= columns || y >= rows || side > 1) return;
    size_t here = (size_t)y * columns + x, plane = (size_t)height * width;
    int span = 2 * h + 1, sign = 2 * side - 1, cy = y, cx = x, vy = 0, vx = 0, followed = 0;
    if (side) path[(here * span + h) * 2] = path[(here * span + h) * 2 + 1] = 0;
    for (int k = 1; k <= h; k++) {
        int place = h + sign * k, slot = slots[place];
        if (slot < 0) break;
        const float *from = frames + slots[place - sign] * 3 * plane + (size_t)cy * width + cx;
        const float *to = frames + slot * 3 * plane;
        double py = cy + gp * vy, px = cx + gp * vx;
        int reach = (int)(range * (1 - gw * exp(-(vy * vy + vx * vx) / (2 * sw * sw))) / 2);
        int my = (int)rint(py), mx = (int)rint(px), by = cy, bx = cx;
        float best = NEVER;
        for (int v = max(my - reach, 0); v <= min(my + reach, rows - 1); v++) {
            float dy = (float)(v - py);
            for (int u = max(mx - reach, 0); u <= min(mx + reach, columns - 1); u++) {
                float dx = (float)(u - px), d = sqrtf(square_distance(from, to + (size_t)v * width + u, width, n));
                d = d / (n * n) + gd * sqrtf(dy * dy + dx * dx);
                if (d < best) best = d, by = v, bx = u;
            }
        }
        if (!(best <= limit)) break;
        followed = k, vy = by - cy, vx = bx - cx, cy = by, cx = bx;
        path[(here * span + place) * 2] = (short)(cy - y);
        path[(here * span + place) * 2 + 1] = (short)(cx - x);
    }
    extent[here * 2 + side] = (short)followed;
}

// ---- groups ----

// distances (groups, (2 reach + 1)^2): the squared distance in channel 0 of the volume at each place round the
// reference at refs (groups, 2) = (y, x); NEVER where there is none, its trajectory does not cover the reference's L
// frames, or it is not below limits[L]. Grid: (2 reach + 1)^2 x groups.
extern "C" __global__ void compare(const float *__restrict__ pilot, const int *__restrict__ slots,
                                   const int *__restrict__ refs, const short *__restrict__ path,
                                   const short *__restrict__ extent, const float *__restrict__ limits,
                                   float *__restrict__ distances, int groups, int reach, int n, int h, int rows,
                                   int columns, int height, int width) {
    int j = column_of_thread(), g = row_of_thread(), across = 2 * reach + 1, span = 2 * h + 1;
    if (j >= across * across || g >= groups) return;
    int y0 = refs[g * 2], x0 = refs[g * 2 + 1], y = y0 - reach + j / across, x = x0 - reach + j % across;
    float d = NEVER;
    if (y >= 0 && y < rows && x >= 0 && x < columns && (y != y0 || x != x0)) {
        size_t own = (size_t)y0 * columns + x0, other = (size_t)y * columns + x;
        int before = extent[own * 2], after = extent[own * 2 + 1];
        if (extent[other * 2] >= before && extent[other * 2 + 1] >= after) {
            float bound = limits[before + after + 1];
            d = 0;
            for (int k = h - before; k <= h + after && d < bound; k++) {
                const float *plane = pilot + (size_t)slots[k] * 3 * height * width;
                const short *a = path + (own * span + k) * 2, *b = path + (other * span + k) * 2;
                d += square_distance(plane + (size_t)(y0 + a[0]) * width + x0 + a[1],
                                     plane + (size_t)(y + b[0]) * width + x + b[1], width, n);
            }
            if (d >= bound) d = NEVER;
        }
    }
    distances[(size_t)g * across * across + j] = d;
}

// The best of `compare`, nearest first; of those as near as each other the first in raster order. Grid: groups.
extern "C" __global__ void choose(const float *__restrict__ distances, const int *__restrict__ refs,
                                  int *__restrict__ members, int *__restrict__ counts, int groups, int most,
                                  int reach) {
    int g = column_of_thread(), across = 2 * reach + 1, count = 1;
    if (g >= groups || row_of_thread()) return;
    int *member = members + (size_t)g * most * 2;
    member[0] = refs[g * 2], member[1] = refs[g * 2 + 1];
    float nearest[MOST];
    for (int m = 1; m < most; m++) nearest[m] = NEVER;
    nearest[0] = -1;  // nothing comes before the reference itself
    for (int j = 0; j < across * across; j++) {
        float d = distances[(size_t)g * across * across + j];
        if (!(d < nearest[most - 1])) continue;
        count = min(count + 1, most);
        int at = count - 1;
        for (; nearest[at - 1] > d; at--) {
            nearest[at] = nearest[at - 1];
            member[at * 2] = member[at * 2 - 2], member[at * 2 + 1] = member[at * 2 - 1];
        }
        nearest[at] = d;
        member[at * 2] = refs[g * 2] - reach + j / across, member[at * 2 + 1] = refs[g * 2 + 1] - reach + j % across;
    }
    int power = 1;
    while (2 * power <= count) power *= 2;
    counts[g] = power;
}

// ---- spectra (3, LONGEST, groups, most, 64) ----

#define PIXEL_OF_THREAD                                                                           \
    int i = column_of_thread() % BLOCK, m = column_of_thread() / BLOCK;                           \
    int g = row_of_thread(), c = layer_of_thread(), span = 2 * h + 1;                             \
    if (m >= most || g >= groups || c >= 3 || m >= counts[g]) return;                             \
    const int *place = members + ((size_t)g * most + m) * 2;                                      \
    const short *reached = extent + ((size_t)refs[g * 2] * columns + refs[g * 2 + 1]) * 2;        \
    const short *moved = path + ((size_t)place[0] * columns + place[1]) * span * 2;               \
    int before = reached[0], length = before + reached[1] + 1, r = i / SIDE, s = i % SIDE;        \
    size_t step = (size_t)groups * most * BLOCK;                                                  \
    size_t first = c * LONGEST * step + ((size_t)g * most + m) * BLOCK + i;

// Gather, and transform over time: one pixel of all blocks of a volume. matrices (LONGEST + 1, LONGEST, LONGEST).
// Grid: 64 most x groups x 3.
extern "C" __global__ void over_time(const float *__restrict__ planes, const int *__restrict__ slots,
                                     const int *__restrict__ refs, const int *__restrict__ members,
                                     const int *__restrict__ counts, const short *__restrict__ path,
                                     const short *__restrict__ extent, const float *__restrict__ matrices,
                                     float *__restrict__ spectra, int groups, int most, int n, int h, int columns,
                                     int height, int width) {
    PIXEL_OF_THREAD
    const float *matrix = matrices + length * LONGEST * LONGEST;
    float v[LONGEST];
#pragma unroll
    for (int l = 0; l < LONGEST; l++) {
        v[l] = 0;
        if (l >= length || r >= n || s >= n) continue;
        int k = h - before + l;
        v[l] = planes[((size_t)slots[k] * 3 + c) * height * width + (size_t)(place[0] + moved[k * 2] + r) * width +
                      place[1] + moved[k * 2 + 1] + s];
    }
#pragma unroll
    for (int k = 0; k < LONGEST; k++) {
        if (k >= length) break;
        float sum = 0;
#pragma unroll
        for (int l = 0; l < LONGEST; l++) sum += matrix[k * LONGEST + l] * v[l];
        spectra[first + k * step] = sum;
    }
}

// In place: d B d^T of each 8x8 plane B. matrices (2, 64): d and its transpose. Grid: groups most x 27.
extern "C" __global__ void over_space(float *__restrict__ spectra, const int *__restrict__ refs,
                                      const int *__restrict__ counts, const short *__restrict__ extent,
                                      const float *__restrict__ matrices, int groups, int most, int columns) {
    int volume = column_of_thread(), layer = row_of_thread(), g = volume / most;
    if (g >= groups || layer >= 3 * LONGEST || volume % most >= counts[g]) return;
    const short *reached = extent + ((size_t)refs[g * 2] * columns + refs[g * 2 + 1]) * 2;
    if (layer % LONGEST > reached[0] + reached[1]) return;
    float v[BLOCK], line[SIDE];
    float4 *quads = (float4 *)(spectra + ((size_t)layer * groups * most + volume) * BLOCK);
#pragma unroll
    for (int i = 0; i < BLOCK / 4; i++) {
        float4 quad = quads[i];
        v[4 * i] = quad.x, v[4 * i + 1] = quad.y, v[4 * i + 2] = quad.z, v[4 * i + 3] = quad.w;
    }
#pragma unroll
    for (int x = 0; x < SIDE; x++) {
#pragma unroll
        for (int y = 0; y < SIDE; y++) line[y] = v[y * SIDE + x];
#pragma unroll
        for (int y = 0; y < SIDE; y++) {
            float sum = 0;
#pragma unroll
            for (int k = 0; k < SIDE; k++) sum += matrices[y * SIDE + k] * line[k];
            v[y * SIDE + x] = sum;
        }
    }
#pragma unroll
    for (int y = 0; y < SIDE; y++) {
#pragma unroll
        for (int x = 0; x < SIDE; x++) line[x] = v[y * SIDE + x];
#pragma unroll
        for (int x = 0; x < SIDE; x++) {
            float sum = 0;
#pragma unroll
            for (int k = 0; k < SIDE; k++) sum += line[k] * matrices[BLOCK + k * SIDE + x];
            v[y * SIDE + x] = sum;
        }
    }
#pragma unroll
    for (int i = 0; i < BLOCK / 4; i++) quads[i] = make_float4(v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]);
}

// Haar transform over the members; the values beyond `count` are zero and stay so
__device__ __forceinline__ void haar(float *v, int count) {
    const float half = 0.70710678118654752f;
#pragma unroll
    for (int step = 1; step < MOST; step *= 2)
        if (step < count) {
#pragma unroll
            for (int m = 0; m < MOST; m += 2 * step) {
                float a = v[m], b = v[m + step];
                v[m] = (a + b) * half, v[m + step] = (a - b) * half;
            }
        }
}

__device__ __forceinline__ void haar_back(float *v, int count) {
    const float half = 0.70710678118654752f;
#pragma unroll
    for (int step = MOST / 2; step > 0; step /= 2)
        if (step < count) {
#pragma unroll
            for (int m = 0; m < MOST; m += 2 * step) {
                float a = v[m], b = v[m + step];
                v[m] = (a + b) * half, v[m + step] = (a - b) * half;
            }
        }
}

#define VALUE_OF_THREAD                                                                           \
    int i = column_of_thread() % BLOCK, k = column_of_thread() / BLOCK;                           \
    int g = row_of_thread(), c = layer_of_thread();                                               \
    if (k >= LONGEST || g >= groups || c >= 3) return;                                            \
    const short *reached = extent + ((size_t)refs[g * 2] * columns + refs[g * 2 + 1]) * 2;        \
    if (k > reached[0] + reached[1]) return;                                                      \
    int count = counts[g];                                                                        \
    size_t first = (((size_t)c * LONGEST + k) * groups + g) * most * BLOCK + i;                   \
    size_t value = (((size_t)c * groups + g) * LONGEST + k) * BLOCK + i;                          \
    float v[MOST];

__device__ __forceinline__ void load(const float *__restrict__ spectra, int count, float *v) {
#pragma unroll
    for (int m = 0; m < MOST; m++) v[m] = m < count ? spectra[m * BLOCK] : 0;
}

__device__ __forceinline__ void store(const float *v, int count, float *__restrict__ spectra) {
#pragma unroll
    for (int m = 0; m < MOST; m++)
        if (m < count) spectra[m * BLOCK] = v[m];
}

// Zero what is below lambda * sigma of the channel, except the mean of the group, with a narrow ramp (see `_shrink` of
// kernels/vbm4d/volumes.py). power (3, groups, LONGEST, 64): how many values of the members stay. Grid: 576 x groups x 3.
extern "C" __global__ void hard_threshold(float *__restrict__ spectra, float *__restrict__ power,
                                          const int *__restrict__ refs, const int *__restrict__ counts,
                                          const short *__restrict__ extent, const float *__restrict__ sigma,
                                          float lambda, float ramp, int groups, int most, int columns) {
    VALUE_OF_THREAD
    load(spectra + first, count, v);
    haar(v, count);
    float threshold = lambda * sigma[c], mean = v[0], kept = 0;
    float first_kept = threshold * (1 - ramp), slope = 1 / (threshold * ramp);
#pragma unroll
    for (int m = 0; m < MOST; m++) {
        float gain = fminf(fmaxf((fabsf(v[m]) - first_kept) * slope, 0), 1);
        v[m] *= gain;
        kept += gain;
    }
    if (k == 0 && i == 0) v[0] = mean;
    power[value] = kept;
    haar_back(v, count);
    store(v, count, spectra + first);
}

// Multiply by the empirical Wiener gain W = p^2 / (p^2 + sigma^2) of prior, the groups of the first pass's result.
// power: ||W||^2 of the members. Grid: 576 x groups x 3.
extern "C" __global__ void wiener(float *__restrict__ spectra, const float *__restrict__ prior,
                                  float *__restrict__ power, const int *__restrict__ refs,
                                  const int *__restrict__ counts, const short *__restrict__ extent,
                                  const float *__restrict__ sigma, int groups, int most, int columns) {
    VALUE_OF_THREAD
    float gain[MOST], variance = sigma[c] * sigma[c], norm = 0;
    load(prior + first, count, gain);
    haar(gain, count);
    load(spectra + first, count, v);
    haar(v, count);
#pragma unroll
    for (int m = 0; m < MOST; m++) {
        float squared = gain[m] * gain[m], w = squared / (squared + variance);
        v[m] *= w;
        norm += w * w;
    }
    power[value] = norm;
    haar_back(v, count);
    store(v, count, spectra + first);
}

// weights (3, groups): 1 / (sigma^2 power), times `unit`. floor, least: of the power and of what is divided by.
// Grid: groups x 3.
extern "C" __global__ void weigh(const float *__restrict__ power, const int *__restrict__ refs,
                                 const short *__restrict__ extent, const float *__restrict__ sigma,
                                 float *__restrict__ weights, float floor, float least, float unit, int groups,
                                 int columns) {
    int g = column_of_thread(), c = row_of_thread();
    if (g >= groups || c >= 3) return;
    const short *reached = extent + ((size_t)refs[g * 2] * columns + refs[g * 2 + 1]) * 2;
    const float *values = power + ((size_t)c * groups + g) * LONGEST * BLOCK;
    float sum = 0;
    for (int k = 0; k <= reached[0] + reached[1]; k++) {
        float block = 0;
        for (int i = 0; i < BLOCK; i++) block += values[k * BLOCK + i];
        sum += block;
    }
    weights[(size_t)c * groups + g] = unit / (least + sigma[c] * sigma[c] * fmaxf(sum, floor));
}

// Transform back over time, and add to the frames: total (slots, 6, H, W) in fixed point, planes 0..2 the pixels times
// window and weight, planes 3..5 window times weight, at most `bound`. Grid: 64 most x groups x 3.
extern "C" __global__ void aggregate(const float *__restrict__ spectra, const float *__restrict__ weights,
                                     const int *__restrict__ targets, const int *__restrict__ refs,
                                     const int *__restrict__ members, const int *__restrict__ counts,
                                     const short *__restrict__ path, const short *__restrict__ extent,
                                     const float *__restrict__ transposed, const float *__restrict__ window,
                                     unsigned long long *total, float bound, int groups, int most, int n, int h,
                                     int columns, int height, int width) {
    PIXEL_OF_THREAD
    if (r >= n || s >= n) return;
    float scale = fminf(window[i] * weights[(size_t)c * groups + g], bound);
    const float *matrix = transposed + length * LONGEST * LONGEST;
    size_t plane = (size_t)height * width;
    float v[LONGEST];
#pragma unroll
    for (int k = 0; k < LONGEST; k++) v[k] = k < length ? spectra[first + k * step] : 0;
#pragma unroll
    for (int l = 0; l < LONGEST; l++) {
        if (l >= length) break;
        int k = h - before + l, slot = targets[k];
        if (slot < 0) continue;
        float value = 0;
#pragma unroll
        for (int m = 0; m < LONGEST; m++) value += matrix[l * LONGEST + m] * v[m];
        unsigned long long *at = total + ((size_t)slot * 6 + c) * plane +
                                 (size_t)(place[0] + moved[k * 2] + r) * width + place[1] + moved[k * 2 + 1] + s;
        atomicAdd(at, (unsigned long long)llrintf(value * scale));
        atomicAdd(at + 3 * plane, (unsigned long long)llrintf(scale));
    }
}

// estimate (3, H, W) = total[:3] / total[3:] of one slot of total, which is zero afterwards
extern "C" __global__ void normalise(long long *__restrict__ total, float *__restrict__ estimate, int height,
                                     int width) {
    int x = column_of_thread(), y = row_of_thread();
    if (x >= width || y >= height) return;
    size_t plane = (size_t)height * width, place = (size_t)y * width + x;
    for (int c = 0; c < 3; c++) {
        estimate[c * plane + place] = (float)(total[c * plane + place] / (double)total[(3 + c) * plane + place]);
        total[c * plane + place] = total[(3 + c) * plane + place] = 0;
    }
}
