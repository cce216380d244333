// How paths bend on CUDA, as acceleration.py specifies it. One thread is one cell of one frame of one pair. Plain C apart
// from the index built-ins.

#define CELL 2  // px; of reference.py
#define REACH 2  // these two: acceleration.py
#define MIN_POWER 1e-6f

__device__ __forceinline__ float2 half_sum(const float *a, const float *b) {
    return make_float2(0.5f * (a[0] + b[0]), 0.5f * (a[1] + b[1]));
}

__device__ __forceinline__ float2 between(float2 a, float2 b, float share) {
    return make_float2(a.x + share * (b.x - a.x), a.y + share * (b.y - a.y));
}

// forward, backward (T-1, h, w, 3); pairs (count): those with a measured pair on either side.
// common (count, 2, h, w): the mean of both measurements of half the acceleration; products (count, 2, h, w): their
// product, and the mean of their squares. Layer 2 k is of the first frame of pairs[k], 2 k + 1 of its second.
extern "C" __global__ void compare_bends(const float *__restrict__ forward, const float *__restrict__ backward,
                                         const int *__restrict__ pairs, float2 *__restrict__ common,
                                         float2 *__restrict__ products, int count, int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), layer = layer_of_thread();
    if (x >= width || y >= height || layer >= 2 * count) return;
    int pair = pairs[layer / 2], of_second = layer % 2;
    size_t plane = (size_t)height * width * 3, cell = (size_t)y * width + x;
    const float *ahead = forward + pair * plane, *behind = backward + pair * plane;
    const float *before = backward + (pair - 1) * plane, *after = forward + (pair + 1) * plane;
    // half an acceleration is of the motions from a frame to both its neighbours: here of `own` and `past` it
    const float *own = of_second ? behind : ahead, *past = of_second ? after : before;
    const float *other = of_second ? ahead : behind, *beyond = of_second ? before : after;
    float px = fminf(fmaxf(x + own[cell * 3] / CELL, 0.f), width - 1.f);
    float py = fminf(fmaxf(y + own[cell * 3 + 1] / CELL, 0.f), height - 1.f);
    int left = min((int)px, width - 2), top = min((int)py, height - 2);
    float fx = px - left, fy = py - top;
    float2 line[2];
    for (int j = 0; j < 2; j++) {
        size_t at = ((size_t)(top + j) * width + left) * 3;
        line[j] = between(half_sum(other + at, beyond + at), half_sum(other + at + 3, beyond + at + 3), fx);
    }
    float2 there = between(line[0], line[1], fy), here = half_sum(own + cell * 3, past + cell * 3);
    size_t place = layer * (size_t)height * width + cell;
    common[place] = make_float2(0.5f * (here.x + there.x), 0.5f * (here.y + there.y));
    float squares = 0.5f * (here.x * here.x + there.x * there.x) + 0.5f * (here.y * here.y + there.y * there.y);
    products[place] = make_float2(here.x * there.x + here.y * there.y, squares);
}

// bend (T-1, 2, h, w) at `pairs`: what is common, by its share of the power around
extern "C" __global__ void weigh_bends(const float2 *__restrict__ common, const float2 *__restrict__ products,
                                       const int *__restrict__ pairs, float2 *__restrict__ bend, int count,
                                       int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), layer = layer_of_thread();
    if (x >= width || y >= height || layer >= 2 * count) return;
    size_t plane = (size_t)height * width, cell = (size_t)y * width + x;
    const float2 *product = products + layer * plane;
    float dot = 0, power = 0;
    for (int column = max(x - REACH, 0); column < min(x + REACH + 1, width); column++) {
        float2 sum = make_float2(0, 0);
        for (int row = max(y - REACH, 0); row < min(y + REACH + 1, height); row++) {
            sum.x += product[(size_t)row * width + column].x;
            sum.y += product[(size_t)row * width + column].y;
        }
        dot += sum.x;
        power += sum.y;
    }
    float share = fminf(fmaxf(dot / (power + MIN_POWER), 0.f), 1.f);
    float2 mean = common[layer * plane + cell];
    bend[(pairs[layer / 2] * 2 + layer % 2) * plane + cell] = make_float2(mean.x * share, mean.y * share);
}
