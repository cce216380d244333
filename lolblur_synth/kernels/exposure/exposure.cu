// The exposure on CUDA: warp, blend, linearise, threshold and accumulate, as reference.py specifies.
//
// Frames are planes (3, H, W); prepared frames are spline coefficients as RGB0 quadruples with a margin of 1 pixel
// before and 2 after, so that a tap is one 16-byte load. Motion lives on cells of 2x2 pixels. One thread is one pixel
// (or cell) of the output, and holds all its sums in registers for all samples of a frame pair. Plain C apart from the
// index built-ins and __powf, whose error (relative 3e-6) is far below that of the 8-bit result.

#define BEFORE 1  // margin of a prepared frame, pixels
#define MARGIN 3

enum { NONE = 0, LINEAR = 1, CODE = 2, HDR = 3 };  // spaces of clip_reverse

typedef struct {  // of clip_reverse, see `_parameters` in cuda.py
    int space;
    double threshold;
    float grey, r, low, slope, gamma, luma_r, luma_g, luma_b;
} Rule;

#define RULE_PARAMETERS                                                                                      \
    int space, double threshold, float grey, float r, float low, float slope, float gamma, float luma_r,     \
        float luma_g, float luma_b
#define RULE {space, threshold, grey, r, low, slope, gamma, luma_r, luma_g, luma_b}

typedef struct {
    float r, g, b;
} Colour;

typedef struct {
    Colour light, mask;
} Sums;

// ---- cubic B-spline coefficients: the recursive filter of Unser 1999, Box 2, as its impulse response ----

__device__ __forceinline__ int mirrored(int i, int size) {
    if (i >= 0 && i < size) return i;
    if (size == 1) return 0;
    int period = 2 * size - 2;
    i = (i < 0 ? -i : i) % period;
    return i < size ? i : period - i;
}

// planes (count, 3, H, W) -> quads (count, H, W): filtered along y; response[k]: of a pixel k away
extern "C" __global__ void spline_columns(const float *__restrict__ planes, const float *__restrict__ response,
                                          float4 *__restrict__ quads, int reach, int count, int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), frame = layer_of_thread();
    if (x >= width || y >= height || frame >= count) return;
    size_t plane = (size_t)height * width;
    const float *red = planes + frame * 3 * plane, *green = red + plane, *blue = green + plane;
    Colour sum = {0, 0, 0};
    for (int k = -reach; k <= reach; k++) {
        size_t i = (size_t)mirrored(y + k, height) * width + x;
        float weight = response[k < 0 ? -k : k];
        sum.r += weight * red[i];
        sum.g += weight * green[i];
        sum.b += weight * blue[i];
    }
    quads[frame * plane + (size_t)y * width + x] = make_float4(sum.r, sum.g, sum.b, 0);
}

// quads (count, H, W) -> prepared (count, H + 3, W + 3): filtered along x, with the mirrored margin
extern "C" __global__ void spline_rows(const float4 *__restrict__ quads, const float *__restrict__ response,
                                       float4 *__restrict__ prepared, int reach, int count, int height, int width) {
    int column = column_of_thread(), row = row_of_thread(), frame = layer_of_thread();
    if (column >= width + MARGIN || row >= height + MARGIN || frame >= count) return;
    int x = mirrored(column - BEFORE, width), y = mirrored(row - BEFORE, height);
    const float4 *line = quads + ((size_t)frame * height + y) * width;
    Colour sum = {0, 0, 0};
    for (int k = -reach; k <= reach; k++) {
        float4 value = line[mirrored(x + k, width)];
        float weight = response[k < 0 ? -k : k];
        sum.r += weight * value.x;
        sum.g += weight * value.y;
        sum.b += weight * value.z;
    }
    size_t place = ((size_t)frame * (height + MARGIN) + row) * (width + MARGIN) + column;
    prepared[place] = make_float4(sum.r, sum.g, sum.b, 0);
}

// ---- motion at an instant: each cell's motion carried along itself, in fixed point so that the order is no matter ----

__device__ __forceinline__ void add_fixed(unsigned long long *place, float value, float unit) {
    atomicAdd(place, (unsigned long long)llrintf(value * unit));
}

#define CARRIED 5  // motion x and y, 1, bend x and y

// forward, backward (h, w, 3): motion and trust; bend (2, h, w, 2); parts (instants);
// sums (instants, CARRIED, h, w) of trust * (motion, 1, bend) * unit
extern "C" __global__ void splat(const float *__restrict__ forward, const float *__restrict__ backward,
                                 const float *__restrict__ bend, const float *__restrict__ parts,
                                 unsigned long long *sums, float unit, int instants, int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), layer = layer_of_thread();
    if (x >= width || y >= height || layer >= 2 * instants) return;
    int k = layer / 2, back = layer % 2;
    size_t cells = (size_t)height * width;
    const float *flow = (back ? backward : forward) + ((size_t)y * width + x) * 3;
    const float *off = bend + (back * cells + (size_t)y * width + x) * 2;
    float t = back ? 1 - parts[k] : parts[k], sign = back ? -1.f : 1.f;
    float px = x + t * flow[0] / 2, py = y + t * flow[1] / 2;
    if (!(px > -1 && py > -1 && px < width && py < height)) return;
    int x0 = (int)floorf(px), y0 = (int)floorf(py);
    float fx = px - x0, fy = py - y0, trust = (1 - t) * flow[2];
    unsigned long long *out = sums + k * CARRIED * cells;
    for (int j = y0 < 0; j < 2 && y0 + j < height; j++)
        for (int i = x0 < 0; i < 2 && x0 + i < width; i++) {
            float share = trust * (i ? fx : 1 - fx) * (j ? fy : 1 - fy);
            size_t cell = (size_t)(y0 + j) * width + x0 + i;
            add_fixed(out + cell, share * sign * flow[0], unit);
            add_fixed(out + cells + cell, share * sign * flow[1], unit);
            add_fixed(out + 2 * cells + cell, share, unit);
            add_fixed(out + 3 * cells + cell, share * off[0], unit);
            add_fixed(out + 4 * cells + cell, share * off[1], unit);
        }
}

// field (instants, h, w): motion in pixels an interval, the share of the second frame, the share of a cross-fade;
// off (instants, h, w): how far the path is off the straight one, pixels;
// `baseline`: weight of the motion that is not carried
extern "C" __global__ void resolve(const float *__restrict__ forward, const float *__restrict__ backward,
                                   const float *__restrict__ parts, const long long *__restrict__ sums,
                                   float4 *__restrict__ field, float2 *__restrict__ off, float unit, float baseline,
                                   int instants, int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), k = layer_of_thread();
    if (x >= width || y >= height || k >= instants) return;
    size_t cells = (size_t)height * width, cell = (size_t)y * width + x;
    const long long *sum = sums + k * CARRIED * cells + cell;
    const float *ahead = forward + cell * 3, *behind = backward + cell * 3;
    float t = parts[k], total = 1 / (sum[2 * cells] / unit + baseline);
    float vx = sum[0] / unit + baseline * ((1 - t) * ahead[0] - t * behind[0]);
    float vy = sum[cells] / unit + baseline * ((1 - t) * ahead[1] - t * behind[1]);
    float share = t * (1 - t) * total / unit;
    field[k * cells + cell] = make_float4(vx * total, vy * total, t, 0);
    off[k * cells + cell] = make_float2(share * sum[3 * cells], share * sum[4 * cells]);
}

// ---- one sample of one pixel ----

__device__ __forceinline__ float4 mixed(float4 a, float share, float4 b) {
    float rest = 1 - share;
    return make_float4(share * a.x + rest * b.x, share * a.y + rest * b.y, share * a.z + rest * b.z,
                       share * a.w + rest * b.w);
}

// What moves a pixel at an instant: see `resolve`.
typedef struct {
    float4 v;
    float2 off;
} Way;

__device__ __forceinline__ float2 mixed2(float2 a, float share, float2 b) {
    return make_float2(share * a.x + (1 - share) * b.x, share * a.y + (1 - share) * b.y);
}

// bilinear from cells (h, w) of 2x2 pixels, half-pixel centres
__device__ __forceinline__ Way way_at(const float4 *__restrict__ field, const float2 *__restrict__ off, int x, int y,
                                      int height, int width) {
    int up = max((y - 1) / 2, 0), down = min((y + 1) / 2, height - 1);
    int left = max((x - 1) / 2, 0), right = min((x + 1) / 2, width - 1);
    float above = y % 2 ? 0.75f : 0.25f, before = x % 2 ? 0.75f : 0.25f;
    size_t a = (size_t)up * width, b = (size_t)down * width;
    Way way = {mixed(mixed(field[a + left], above, field[b + left]), before,
                     mixed(field[a + right], above, field[b + right])),
               mixed2(mixed2(off[a + left], above, off[b + left]), before,
                      mixed2(off[a + right], above, off[b + right]))};
    return way;
}

__device__ __forceinline__ float within(float value, float last) { return fminf(fmaxf(value, 0), last); }

__device__ __forceinline__ float inside(float overshoot) { return fmaxf(0, 1 - fabsf(overshoot)); }

__device__ __forceinline__ void spline_weights(float f, float *weight) {
    float g = 1 - f;
    weight[0] = g * g * g / 6;
    weight[1] = ((f / 2 - 1) * f) * f + 2.f / 3;
    weight[2] = ((g / 2 - 1) * g) * g + 2.f / 3;
    weight[3] = f * f * f / 6;
}

// a prepared frame at (x, y), which lies inside of it
__device__ __forceinline__ Colour fetch(const float4 *__restrict__ prepared, int pitch, float x, float y) {
    int column = (int)x, row = (int)y;
    float right[4], down[4];
    spline_weights(x - column, right);
    spline_weights(y - row, down);
    const float4 *corner = prepared + (size_t)row * pitch + column;
    Colour sum = {0, 0, 0};
    for (int j = 0; j < 4; j++) {
        Colour line = {0, 0, 0};
        for (int i = 0; i < 4; i++) {
            float4 tap = corner[(size_t)j * pitch + i];
            line.r += right[i] * tap.x;
            line.g += right[i] * tap.y;
            line.b += right[i] * tap.z;
        }
        sum.r += down[j] * line.r;
        sum.g += down[j] * line.g;
        sum.b += down[j] * line.b;
    }
    return sum;
}

__device__ __forceinline__ Colour blended(Colour a, float share, Colour b) {
    Colour out = {a.r + share * (b.r - a.r), a.g + share * (b.g - a.g), a.b + share * (b.b - a.b)};
    return out;
}

// A frame pair: prepared, and as planes (3, H, W).
typedef struct {
    const float4 *first, *second;
    int height, width;
} Pair;

__device__ __forceinline__ Colour colour_at(const float *__restrict__ planes, size_t place, size_t plane) {
    Colour out = {planes[place], planes[place + plane], planes[place + 2 * plane]};
    return out;
}

// where the motion (v.x, v.y), `off` the straight path, leads in both frames, held within them, and the second one's share
typedef struct {
    float ax, ay, bx, by, share;
} Places;

// v.z is the share of the second frame; a frame that the point lies outside of counts for next to nothing
__device__ __forceinline__ Places places_at(Way way, float t, int x, int y, int height, int width) {
    float4 v = way.v;
    float last_x = width - 1, last_y = height - 1, rest = 1 - t, share = v.z;
    float ax = x - t * v.x + way.off.x, ay = y - t * v.y + way.off.y;
    float bx = x + rest * v.x + way.off.x, by = y + rest * v.y + way.off.y;
    float cx = within(ax, last_x), cy = within(ay, last_y), dx = within(bx, last_x), dy = within(by, last_y);
    if (ax != cx || ay != cy || bx != dx || by != dy) {
        float seen_a = (1 - share) * (inside(ax - cx) * inside(ay - cy) + 1e-6f);
        float seen_b = share * (inside(bx - dx) * inside(by - dy) + 1e-6f);
        share = seen_b / (seen_a + seen_b);
    }
    Places at = {cx, cy, dx, dy, share};
    return at;
}

// both frames fetched along the motion (v.x, v.y), `off` the straight path, blended by v.z and by who sees the point;
// the share v.w of it gives way to `faded`, the cross-fade of the pixel itself; 0..1
__device__ __forceinline__ Colour warped(Pair pair, Way way, float t, int x, int y, Colour faded) {
    Places at = places_at(way, t, x, y, pair.height, pair.width);
    Colour a = fetch(pair.first, pair.width + MARGIN, at.ax, at.ay);
    Colour b = fetch(pair.second, pair.width + MARGIN, at.bx, at.by);
    Colour out = blended(blended(a, at.share, b), way.v.w, faded);
    out.r = within(out.r, 1);
    out.g = within(out.g, 1);
    out.b = within(out.b, 1);
    return out;
}

// ---- clip_reverse and the sum ----

__device__ __forceinline__ double srgb_light(double value) {
    return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
}

// Y > threshold; Y grows with each channel, so pixels that are not near it are decided without a power
__device__ __forceinline__ int saturated(Colour c, Rule rule) {
    if (fminf(c.r, fminf(c.g, c.b)) > rule.grey + 1e-4f) return 1;
    if (fmaxf(c.r, fmaxf(c.g, c.b)) < rule.grey - 1e-4f) return 0;
    double y = rule.luma_r * srgb_light(c.r) + rule.luma_g * srgb_light(c.g) + rule.luma_b * srgb_light(c.b);
    return y > rule.threshold;
}

__device__ __forceinline__ float ramp(float value, Rule rule) { return within((value - rule.low) * rule.slope, 1); }

__device__ __forceinline__ void expose(Sums *sums, Colour shown, Rule rule) {
    if (rule.space == HDR) {
        sums->mask.r += ramp(shown.r, rule);
        sums->mask.g += ramp(shown.g, rule);
        sums->mask.b += ramp(shown.b, rule);
    } else if (rule.space != NONE && saturated(shown, rule)) {
        sums->mask.r += 1;
        sums->mask.g += 1;
        sums->mask.b += 1;
        float r = rule.space == CODE ? rule.r : 0;
        shown.r += r;
        shown.g += r;
        shown.b += r;
    }
    sums->light.r += __powf(fmaxf(shown.r, 0), rule.gamma);
    sums->light.g += __powf(fmaxf(shown.g, 0), rule.gamma);
    sums->light.b += __powf(fmaxf(shown.b, 0), rule.gamma);
}

__device__ __forceinline__ Sums sums_at(const float *light, const float *mask, size_t place, size_t plane) {
    Sums out = {colour_at(light, place, plane), colour_at(mask, place, plane)};
    return out;
}

__device__ __forceinline__ void store(float *planes, size_t place, size_t plane, Colour value) {
    planes[place] = value.r;
    planes[place + plane] = value.g;
    planes[place + 2 * plane] = value.b;
}

// light, mask (3, H, W) += the samples at `parts` of the pair a, b; first, second: the same, prepared;
// field, off (instants, cells_high, cells_wide), see `resolve`
extern "C" __global__ void add_warped(const float *__restrict__ a, const float *__restrict__ b,
                                      const float4 *__restrict__ first, const float4 *__restrict__ second,
                                      const float4 *__restrict__ field, const float2 *__restrict__ off,
                                      const float *__restrict__ parts, float *__restrict__ light,
                                      float *__restrict__ mask, int instants, int height, int width, int cells_high,
                                      int cells_wide, RULE_PARAMETERS) {
    int x = column_of_thread(), y = row_of_thread();
    if (x >= width || y >= height) return;
    Rule rule = RULE;
    Pair pair = {first, second, height, width};
    size_t plane = (size_t)height * width, place = (size_t)y * width + x;
    Sums sums = sums_at(light, mask, place, plane);
    Colour before = colour_at(a, place, plane), after = colour_at(b, place, plane);
    for (int k = 0; k < instants; k++) {
        size_t start = (size_t)k * cells_high * cells_wide;
        Way way = way_at(field + start, off + start, x, y, cells_high, cells_wide);
        expose(&sums, warped(pair, way, parts[k], x, y, blended(before, parts[k], after)), rule);
    }
    store(light, place, plane, sums.light);
    store(mask, place, plane, sums.mask);
}

// the same of a pair without motion, planes (3, H, W): cross-faded
extern "C" __global__ void add_faded(const float *__restrict__ first, const float *__restrict__ second,
                                     const float *__restrict__ parts, float *__restrict__ light,
                                     float *__restrict__ mask, int instants, int height, int width, RULE_PARAMETERS) {
    int x = column_of_thread(), y = row_of_thread();
    if (x >= width || y >= height) return;
    Rule rule = RULE;
    size_t plane = (size_t)height * width, place = (size_t)y * width + x;
    Sums sums = sums_at(light, mask, place, plane);
    Colour a = colour_at(first, place, plane), b = colour_at(second, place, plane);
    for (int k = 0; k < instants; k++) expose(&sums, blended(a, parts[k], b), rule);
    store(light, place, plane, sums.light);
    store(mask, place, plane, sums.mask);
}

// one sample, display 0..1: out (3, H, W)
extern "C" __global__ void render(const float *__restrict__ a, const float *__restrict__ b,
                                  const float4 *__restrict__ first, const float4 *__restrict__ second,
                                  const float4 *__restrict__ field, const float2 *__restrict__ off, float t,
                                  float *__restrict__ out, int height, int width, int cells_high, int cells_wide) {
    int x = column_of_thread(), y = row_of_thread();
    if (x >= width || y >= height) return;
    Pair pair = {first, second, height, width};
    size_t plane = (size_t)height * width, place = (size_t)y * width + x;
    Colour faded = blended(colour_at(a, place, plane), t, colour_at(b, place, plane));
    Way way = way_at(field, off, x, y, cells_high, cells_wide);
    store(out, place, plane, warped(pair, way, t, x, y, faded));
}

// ---- light above white ----

// a frame (3, H, W) at (x, y), which lies inside of it, bilinear; black where no corner has light
__device__ __forceinline__ Colour lamp_at(const float *__restrict__ planes, const float *__restrict__ lit, float x,
                                          float y, int height, int width) {
    Colour out = {0, 0, 0};
    int column = (int)x, row = (int)y;
    size_t plane = (size_t)height * width, place = (size_t)row * width + column;
    if (lit[place] == 0) return out;
    int right = column + 1 < width, down = row + 1 < height ? width : 0;
    Colour upper = blended(colour_at(planes, place, plane), x - column, colour_at(planes, place + right, plane));
    place += down;
    Colour lower = blended(colour_at(planes, place, plane), x - column, colour_at(planes, place + right, plane));
    return blended(upper, y - row, lower);
}

// light (3, H, W) += what is above white in the samples at `parts` of the pair a, b (3, H, W), linear, fetched as
// `warped` does; lit_a, lit_b (H, W): not 0 where one of the pixels that a fetch from x..x+1, y..y+1 mixes is not black
extern "C" __global__ void add_above(const float *__restrict__ a, const float *__restrict__ b,
                                     const float *__restrict__ lit_a, const float *__restrict__ lit_b,
                                     const float4 *__restrict__ field, const float2 *__restrict__ off,
                                     const float *__restrict__ parts, float *__restrict__ light, int instants,
                                     int height, int width, int cells_high, int cells_wide) {
    int x = column_of_thread(), y = row_of_thread();
    if (x >= width || y >= height) return;
    size_t plane = (size_t)height * width, place = (size_t)y * width + x;
    Colour sum = colour_at(light, place, plane), before = colour_at(a, place, plane), after = colour_at(b, place, plane);
    for (int k = 0; k < instants; k++) {
        size_t start = (size_t)k * cells_high * cells_wide;
        Way way = way_at(field + start, off + start, x, y, cells_high, cells_wide);
        Places at = places_at(way, parts[k], x, y, height, width);
        Colour moved = blended(lamp_at(a, lit_a, at.ax, at.ay, height, width), at.share,
                               lamp_at(b, lit_b, at.bx, at.by, height, width));
        Colour out = blended(moved, way.v.w, blended(before, parts[k], after));
        sum.r += out.r;
        sum.g += out.g;
        sum.b += out.b;
    }
    store(light, place, plane, sum);
}

// ---- frames that are given: nothing to warp, all bandwidth ----

__device__ __forceinline__ void expose_four(Sums *sums, float4 r, float4 g, float4 b, Rule rule) {
    Colour c0 = {r.x, g.x, b.x}, c1 = {r.y, g.y, b.y}, c2 = {r.z, g.z, b.z}, c3 = {r.w, g.w, b.w};
    expose(sums, c0, rule);
    expose(sums + 1, c1, rule);
    expose(sums + 2, c2, rule);
    expose(sums + 3, c3, rule);
}

#define FOUR(member) make_float4(sums[0].member, sums[1].member, sums[2].member, sums[3].member)

// frames (count, 3, pixels) in quads, pixels = 4 * quads -> sums of light and of mask, (3, quads) each
extern "C" __global__ void add_given(const float4 *__restrict__ frames, float4 *__restrict__ light,
                                     float4 *__restrict__ mask, int count, int quads, RULE_PARAMETERS) {
    int place = row_of_thread() * gridDim.x * blockDim.x + column_of_thread();
    if (place >= quads) return;
    Rule rule = RULE;
    Sums sums[4] = {};
    const float4 *red = frames + place;
    for (int k = 0; k < count; k++, red += (size_t)3 * quads)
        expose_four(sums, red[0], red[quads], red[2 * (size_t)quads], rule);
    light[place] = FOUR(light.r);
    light[place + quads] = FOUR(light.g);
    light[place + 2 * (size_t)quads] = FOUR(light.b);
    mask[place] = FOUR(mask.r);
    mask[place + quads] = FOUR(mask.g);
    mask[place + 2 * (size_t)quads] = FOUR(mask.b);
}
