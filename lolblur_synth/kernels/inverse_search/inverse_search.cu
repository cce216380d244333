// Dense inverse search on CUDA, as reference.py specifies it: all frame pairs of a window in both directions at once.
//
// A job is one direction of one pair: jobs 0..n-1 go from frame pairs[job] to the next one, jobs n..2n-1 back. One
// thread is one pixel, or one patch of 8x8 pixels. A patch waits for its neighbours to the left and above alone, so all
// patches on an anti-diagonal are independent: a sweep is one launch an anti-diagonal, and its result is that of the
// sequential sweep. Where two steps or two starts are nearly as good, rounding decides: so sums have the order of
// patch.py, eight columns and then their halves, fmaf stands where that fuses, and the compiler fuses nothing else.
// Images of a level are planes (T, height + 2 PAD, width + 2 PAD) in code values, with their border repeated. Plain C
// apart from the index built-ins.

#define PATCH 8  // px a side; this and the next five: reference.py
#define PAD 16
#define MAX_STEPS 8
#define MAX_STRAY 8.f
#define PRICE_OF_STRAYING 400.f
#define REGULARISATION 1e-3f
#define COUNT 64.f

// ---- from frames to the levels of a pyramid ----

// log2 of a normal number x > 0, and 2^y: ../powers.py
__device__ __forceinline__ float log2_of(float x) {
    const float c[7] = {1.4426966f, -0.7213602f, 0.4806131f, -0.35952446f, 0.29611957f, -0.26796386f, 0.16818659f};
    int bits = (int)__float_as_uint(x), exponent = (bits - 0x3F3504F3) >> 23;
    float z = __uint_as_float((unsigned)(bits - exponent * (1 << 23))) - 1, log = c[6];
    for (int k = 5; k >= 0; k--) log = log * z + c[k];
    return exponent + log * z;
}

__device__ __forceinline__ float exp2_of(float y) {
    const float c[6] = {1.f, 0.6931472f, 0.24022107f, 0.05550357f, 0.009676032f, 0.0013390863f};
    y = fmaxf(y, -126.f);
    int whole = (int)(y + 127.5f);
    float f = y - (whole - 127), value = c[5];
    for (int k = 4; k >= 0; k--) value = value * f + c[k];
    return value * __uint_as_float((unsigned)whole << 23);
}

// frames (T, 3, H, W) display -> codes (T, H, W): luma to the power of gamma
extern "C" __global__ void grey(const float *__restrict__ frames, unsigned char *__restrict__ codes, float gamma,
                                int count, int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), frame = layer_of_thread();
    if (x >= width || y >= height || frame >= count) return;
    size_t plane = (size_t)height * width, at = (size_t)y * width + x;
    const float *red = frames + frame * 3 * plane + at;
    float light = 0.299f * red[0] + 0.587f * red[plane] + 0.114f * red[2 * plane];
    light = fminf(fmaxf(light, 1e-9f), 1.f);
    if (gamma != 1) light = exp2_of(gamma * log2_of(light));
    codes[frame * plane + at] = (unsigned char)(int)(light * 255.f + 0.5f);
}

// planes (count, height, width) -> half of each size, rounded up: means of 2x2 pixels, the last row or column repeated
extern "C" __global__ void halve(const float *__restrict__ planes, float *__restrict__ out, int count, int height,
                                 int width) {
    int x = column_of_thread(), y = row_of_thread(), plane = layer_of_thread();
    int rows = (height + 1) / 2, columns = (width + 1) / 2;
    if (x >= columns || y >= rows || plane >= count) return;
    const float *above = planes + ((size_t)plane * height + 2 * y) * width + 2 * x;
    const float *below = 2 * y + 1 < height ? above + width : above;
    float mean = 2 * x + 1 < width ? 0.25f * ((above[0] + above[1]) + (below[0] + below[1]))
                                   : 0.5f * (above[0] + below[0]);
    out[((size_t)plane * rows + y) * columns + x] = mean;
}

// planes (count, height, width) -> the images of a level, and their gradients of the fourth order
extern "C" __global__ void pad_with_gradients(const float *__restrict__ planes, float *__restrict__ image,
                                              float *__restrict__ along_x, float *__restrict__ along_y, int count,
                                              int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), plane = layer_of_thread();
    int rows = height + 2 * PAD, pitch = width + 2 * PAD;
    if (x >= pitch || y >= rows || plane >= count) return;
    const float *source = planes + (size_t)plane * height * width;
    int column[5], row[5];
    for (int k = 0; k < 5; k++) {
        column[k] = min(max(x + k - 2 - PAD, 0), width - 1);
        row[k] = min(max(y + k - 2 - PAD, 0), height - 1);
    }
    const float *line = source + (size_t)row[2] * width;
    size_t at = ((size_t)plane * rows + y) * pitch + x;
    image[at] = line[column[2]];
    along_x[at] = along_y[at] = 0;
    if (x < 2 || y < 2 || x >= pitch - 2 || y >= rows - 2) return;
    along_x[at] = (1 / 12.f) * (line[column[0]] - line[column[4]]) + (2 / 3.f) * (line[column[3]] - line[column[1]]);
    float value[5];
    for (int k = 0; k < 5; k++) value[k] = source[(size_t)row[k] * width + column[2]];
    along_y[at] = (1 / 12.f) * (value[0] - value[4]) + (2 / 3.f) * (value[3] - value[1]);
}

// ---- one patch ----

typedef struct {
    const float *from, *along_x, *along_y, *to;  // padded images of a job: the first frame, its gradients, the second
    int height, width, pitch;
} Job;

#define LEVEL_PARAMETERS                                                                                             \
    const float *__restrict__ image, const float *__restrict__ along_x, const float *__restrict__ along_y,           \
        const int *__restrict__ pairs, int count, int height, int width
#define LEVEL image, along_x, along_y, pairs, count, height, width

__device__ __forceinline__ Job job_of(LEVEL_PARAMETERS, int job) {
    int back = job >= count, pair = pairs[back ? job - count : job], pitch = width + 2 * PAD;
    size_t plane = (size_t)(height + 2 * PAD) * pitch, first = (pair + back) * plane, second = (pair + !back) * plane;
    Job found = {image + first, along_x + first, along_y + first, image + second, height, width, pitch};
    return found;
}

// first pixel of a patch along an axis
__device__ __forceinline__ int first_pixel(int number, int stride, int size) {
    return min(number * stride, size - PATCH);
}

typedef struct {  // a place between the pixels of a padded image
    size_t base;
    float fx, fy;
} Point;

// (y, x) + (v, u) of the padded image, held so that a patch there lies within it
__device__ __forceinline__ Point where(const Job *job, int y, int x, float u, float v) {
    float px = fminf(fmaxf(x + u, 1.f), (float)(job->width + 2 * PAD - PATCH - 2));
    float py = fminf(fmaxf(y + v, 1.f), (float)(job->height + 2 * PAD - PATCH - 2));
    int left = (int)px, top = (int)py;
    Point point = {(size_t)top * job->pitch + left, px - left, py - top};
    return point;
}

typedef struct {  // a patch of the first frame: a copy, because each comparison reads all of it
    float value[PATCH * PATCH], along_x[PATCH * PATCH], along_y[PATCH * PATCH];
    int y, x;  // its first pixel in the padded image
} Patch;

typedef struct {  // sums over the patch of its difference d: (d - mean of d)^2, d, and d times the gradients
    float cost, total, by_x, by_y;
} Fit;

__device__ __forceinline__ float sum_of(const float *lane) {
    float four[4] = {lane[0] + lane[4], lane[1] + lane[5], lane[2] + lane[6], lane[3] + lane[7]};
    return (four[0] + four[2]) + (four[1] + four[3]);
}

__device__ __forceinline__ void read_line(const float *__restrict__ row, float fx, float *line) {
    float left = row[0];
#pragma unroll
    for (int x = 0; x < PATCH; x++) {
        float right = row[x + 1];
        line[x] = fmaf(fx, right - left, left);
        left = right;
    }
}

// the patch moved by (u, v)
__device__ __forceinline__ Fit compared(const Job *job, const Patch *patch, float u, float v) {
    Point point = where(job, patch->y, patch->x, u, v);
    float total[PATCH] = {0}, squares[PATCH] = {0}, by_x[PATCH] = {0}, by_y[PATCH] = {0};
    float above[PATCH], below[PATCH];
    read_line(job->to + point.base, point.fx, above);
    for (int y = 0; y < PATCH; y++) {
        read_line(job->to + point.base + (size_t)(y + 1) * job->pitch, point.fx, below);
#pragma unroll
        for (int x = 0; x < PATCH; x++) {
            int at = y * PATCH + x;
            float error = fmaf(point.fy, below[x] - above[x], above[x]) - patch->value[at];
            total[x] += error;
            squares[x] = fmaf(error, error, squares[x]);
            by_x[x] = fmaf(error, patch->along_x[at], by_x[x]);
            by_y[x] = fmaf(error, patch->along_y[at], by_y[x]);
            above[x] = below[x];
        }
    }
    float sum = sum_of(total);
    Fit fit = {sum_of(squares) - sum * sum / COUNT, sum, sum_of(by_x), sum_of(by_y)};
    return fit;
}

// where a patch that starts at (u0, v0), with the Fit `fit`, goes: downhill, as long as that helps more than it costs
__device__ __forceinline__ float2 registered(const Job *job, const Patch *patch, float u0, float v0, Fit fit) {
    float lane[5][PATCH] = {{0}};
    for (int y = 0; y < PATCH; y++)
#pragma unroll
        for (int k = 0; k < PATCH; k++) {
            float x = patch->along_x[y * PATCH + k], down = patch->along_y[y * PATCH + k];
            lane[0][k] += x;
            lane[1][k] += down;
            lane[2][k] = fmaf(x, x, lane[2][k]);
            lane[3][k] = fmaf(x, down, lane[3][k]);
            lane[4][k] = fmaf(down, down, lane[4][k]);
        }
    float sum_x = sum_of(lane[0]), sum_y = sum_of(lane[1]);
    float xx = sum_of(lane[2]) - sum_x * sum_x / COUNT + REGULARISATION;
    float yy = sum_of(lane[4]) - sum_y * sum_y / COUNT + REGULARISATION;
    float xy = sum_of(lane[3]) - sum_x * sum_y / COUNT, scale = 1 / fmaxf(xx * yy - xy * xy, 1e-6f);
    float u = u0, v = v0, cost = fit.cost;
    for (int k = 0; k < MAX_STEPS; k++) {
        float down_x = fit.by_x + (PRICE_OF_STRAYING * (u - u0) - fit.total * sum_x / COUNT);
        float down_y = fit.by_y + (PRICE_OF_STRAYING * (v - v0) - fit.total * sum_y / COUNT);
        float next_u = u - (yy * down_x - xy * down_y) * scale, next_v = v - (xx * down_y - xy * down_x) * scale;
        float away_u = next_u - u0, away_v = next_v - v0;
        if (!(fabsf(away_u) <= MAX_STRAY && fabsf(away_v) <= MAX_STRAY)) break;
        fit = compared(job, patch, next_u, next_v);
        float reached = fit.cost + PRICE_OF_STRAYING * (away_u * away_u + away_v * away_v);
        if (!(reached < cost)) break;
        u = next_u, v = next_v, cost = reached;
    }
    return make_float2(u, v);
}

// ---- a level ----

// patches (2 n, rows, columns): the motion of the level above, planes (2 n, 2, up, across), in pixels of this level
extern "C" __global__ void start(const float *__restrict__ above, float2 *__restrict__ patches, int jobs, int up,
                                 int across, int stride, int height, int width, int rows, int columns) {
    int column = column_of_thread(), row = row_of_thread(), job = layer_of_thread();
    if (column >= columns || row >= rows || job >= jobs) return;
    int y = min((first_pixel(row, stride, height) + PATCH / 2) / 2, up - 1);
    int x = min((first_pixel(column, stride, width) + PATCH / 2) / 2, across - 1);
    size_t plane = (size_t)up * across;
    const float *motion = above + job * 2 * plane + (size_t)y * across + x;
    patches[((size_t)job * rows + row) * columns + column] = make_float2(2 * motion[0], 2 * motion[plane]);
}

// Register the patches on one anti-diagonal, counted from the top left, or with `back` from the bottom right; a patch
// starts from its own motion or from that of a neighbour before it. Of `spread` threads one works: its loads and its
// steps are its own, so a full warp would wait for all of them, and there are far fewer patches than threads.
extern "C" __global__ void sweep(LEVEL_PARAMETERS, float2 *patches, int stride, int rows, int columns, int back,
                                 int spread, int diagonal) {
    int thread = column_of_thread(), number = row_of_thread();
    int i = max(0, diagonal - columns + 1) + thread / spread, j = diagonal - i;
    if (thread % spread || i >= rows || j < 0 || number >= 2 * count) return;
    Job job = job_of(LEVEL, number);
    int row = back ? rows - 1 - i : i, column = back ? columns - 1 - j : j, step = back ? -1 : 1;
    Patch patch;
    patch.y = first_pixel(row, stride, height) + PAD, patch.x = first_pixel(column, stride, width) + PAD;
    size_t corner = (size_t)patch.y * job.pitch + patch.x;
    for (int y = 0; y < PATCH; y++)
#pragma unroll
        for (int x = 0; x < PATCH; x++) {
            size_t at = corner + (size_t)y * job.pitch + x;
            patch.value[y * PATCH + x] = job.from[at];
            patch.along_x[y * PATCH + x] = job.along_x[at];
            patch.along_y[y * PATCH + x] = job.along_y[at];
        }
    float2 *own = patches + ((size_t)number * rows + row) * columns + column, best = *own;
    Fit fit = compared(&job, &patch, best.x, best.y);
    for (int k = 0; k < 2; k++) {
        if (k ? i == 0 : j == 0) continue;
        float2 other = k ? own[-step * columns] : own[-step];
        if (other.x == best.x && other.y == best.y) continue;
        Fit second = compared(&job, &patch, other.x, other.y);
        if (second.cost < fit.cost) best = other, fit = second;
    }
    *own = registered(&job, &patch, best.x, best.y, fit);
}

// motion, planes (2 n, 2, height, width): at each pixel the mean of the patches over it, by how well each agrees there
extern "C" __global__ void densify(LEVEL_PARAMETERS, const float2 *__restrict__ patches, float *__restrict__ motion,
                                   int stride, int rows, int columns) {
    int x = column_of_thread(), y = row_of_thread(), number = layer_of_thread();
    if (x >= width || y >= height || number >= 2 * count) return;
    Job job = job_of(LEVEL, number);
    float value = job.from[(size_t)(y + PAD) * job.pitch + x + PAD], sum_u = 0, sum_v = 0, weight = 0;
    int first_row = max(0, (y - PATCH + stride) / stride), first_column = max(0, (x - PATCH + stride) / stride);
    for (int row = first_row; row < rows; row++) {
        int top = first_pixel(row, stride, height);
        if (top > y) break;
        for (int column = first_column; column < columns; column++) {
            int left = first_pixel(column, stride, width);
            if (left > x) break;
            float2 moved = patches[((size_t)number * rows + row) * columns + column];
            Point point = where(&job, top + PAD, left + PAD, moved.x, moved.y);
            const float *at = job.to + point.base + (size_t)(y - top) * job.pitch + (x - left);
            float above = fmaf(point.fx, at[1] - at[0], at[0]);
            float below = fmaf(point.fx, at[job.pitch + 1] - at[job.pitch], at[job.pitch]);
            float share = 1 / fmaxf(1.f, fabsf(fmaf(point.fy, below - above, above) - value));
            sum_u = fmaf(share, moved.x, sum_u);
            sum_v = fmaf(share, moved.y, sum_v);
            weight += share;
        }
    }
    float *out = motion + (size_t)number * 2 * height * width + (size_t)y * width + x, share = 1 / weight;
    out[0] = sum_u * share;
    out[(size_t)height * width] = sum_v * share;
}

// flows (2 n, height, width, 3): motion of half the resolution in pixels of the frame, and how far to trust it, by the
// difference that is left along it; trust (256): by difference in code values
extern "C" __global__ void judge(LEVEL_PARAMETERS, const float *__restrict__ motion, const float *__restrict__ trust,
                                 float *__restrict__ flows) {
    int x = column_of_thread(), y = row_of_thread(), number = layer_of_thread();
    if (x >= width || y >= height || number >= 2 * count) return;
    Job job = job_of(LEVEL, number);
    const float *moved = motion + (size_t)number * 2 * height * width + (size_t)y * width + x;
    float u = moved[0], v = moved[(size_t)height * width];
    float px = fminf(fmaxf(x + u, 0.f), width - 1.f) + PAD, py = fminf(fmaxf(y + v, 0.f), height - 1.f) + PAD;
    int left = (int)px, top = (int)py;
    float fx = px - left, fy = py - top;
    const float *at = job.to + (size_t)top * job.pitch + left;
    float above = at[0] + fx * (at[1] - at[0]), below = at[job.pitch] + fx * (at[job.pitch + 1] - at[job.pitch]);
    float apart = fabsf(above + fy * (below - above) - job.from[(size_t)(y + PAD) * job.pitch + x + PAD]);
    float *out = flows + (((size_t)number * height + y) * width + x) * 3;
    out[0] = 2 * u;
    out[1] = 2 * v;
    out[2] = trust[(int)(apart + 0.5f)];
}
