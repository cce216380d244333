// The adaptive convolution of LEDNet's skip connections: each pixel and channel by a 5x5 filter of its own (LEDNet,
// section 4.3). A thread is one channel of one pixel; channels are neighbours in memory. Plain C apart from the index
// built-ins.
//
// Images are (N, H, W, C); filters (pixels, 25, C), taps row by row; beyond its border an image goes on as it ends.

#define TAPS 5
#define REACH 2

__device__ __forceinline__ float value(float x) { return x; }

// bfloat16 is the upper half of a float
__device__ __forceinline__ float value(unsigned short x) { return __uint_as_float((unsigned)x << 16); }

__device__ __forceinline__ void put(float *place, float x) { *place = x; }

__device__ __forceinline__ void put(unsigned short *place, float x) {  // to the nearest, of two the even one
    unsigned bits = __float_as_uint(x);
    *place = x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fc0;
}

__device__ __forceinline__ int within(int x, int size) { return min(max(x, 0), size - 1); }

// out = sum over the taps of filter * feature, for `count` pixels from `first` on, whose filters are given
template <class V>
__device__ __forceinline__ void mix(const V *__restrict__ filters, const V *__restrict__ feature,
                                    float *__restrict__ out, int first, int count, int channels, int height,
                                    int width) {
    int c = column_of_thread(), p = row_of_thread();
    if (c >= channels || p >= count) return;
    int pixel = first + p, x = pixel % width, y = pixel / width % height;
    const V *filter = filters + (size_t)p * TAPS * TAPS * channels + c;
    const V *image = feature + (size_t)(pixel / width / height) * height * width * channels + c;
    float total = 0;
#pragma unroll
    for (int i = 0; i < TAPS; i++) {
        const V *row = image + (size_t)within(y + i - REACH, height) * width * channels;
#pragma unroll
        for (int j = 0; j < TAPS; j++)
            total += value(filter[(i * TAPS + j) * channels]) *
                     value(row[(size_t)within(x + j - REACH, width) * channels]);
    }
    out[(size_t)pixel * channels + c] = total;
}

// into = the gradient of the feature: each filter value, times the gradient of its own pixel, goes to the pixel that it
// weighed; a pixel of the border was weighed in the place of all that lie beyond it
template <class V>
__device__ __forceinline__ void to_feature(const V *__restrict__ filters, const V *__restrict__ grad,
                                           V *__restrict__ into, int images, int channels, int height, int width) {
    int c = column_of_thread(), x = row_of_thread();
    int y = blockIdx.z % height, n = blockIdx.z / height;
    if (c >= channels || x >= width || n >= images) return;
    int top = y ? y : -REACH, bottom = y < height - 1 ? y : y + REACH;
    int left = x ? x : -REACH, right = x < width - 1 ? x : x + REACH;
    float total = 0;
    for (int v = top; v <= bottom; v++)
        for (int u = left; u <= right; u++)
            for (int i = 0; i < TAPS; i++)
#pragma unroll
                for (int j = 0; j < TAPS; j++) {
                    int row = v - i + REACH, column = u - j + REACH;
                    if (row < 0 || row >= height || column < 0 || column >= width) continue;
                    size_t pixel = ((size_t)n * height + row) * width + column;
                    total += value(filters[(pixel * TAPS * TAPS + i * TAPS + j) * channels + c]) *
                             value(grad[pixel * channels + c]);
                }
    put(into + (((size_t)n * height + y) * width + x) * channels + c, total);
}

// into = the gradient of the filters: gradient of the pixel * feature
template <class V>
__device__ __forceinline__ void to_filters(const V *__restrict__ feature, const V *__restrict__ grad,
                                           V *__restrict__ into, int images, int channels, int height, int width) {
    int c = column_of_thread(), x = row_of_thread();
    int y = blockIdx.z % height, n = blockIdx.z / height;
    if (c >= channels || x >= width || n >= images) return;
    const V *image = feature + (size_t)n * height * width * channels + c;
    size_t pixel = ((size_t)n * height + y) * width + x;
    float by = value(grad[pixel * channels + c]);
    V *filter = into + pixel * TAPS * TAPS * channels + c;
#pragma unroll
    for (int i = 0; i < TAPS; i++)
#pragma unroll
        for (int j = 0; j < TAPS; j++) {
            size_t at = (size_t)within(y + i - REACH, height) * width + within(x + j - REACH, width);
            put(filter + (i * TAPS + j) * channels, by * value(image[at * channels]));
        }
}

extern "C" __global__ void mix_float32(const float *filters, const float *feature, float *out, int first, int count,
                                       int channels, int height, int width) {
    mix(filters, feature, out, first, count, channels, height, width);
}

extern "C" __global__ void mix_bfloat16(const unsigned short *filters, const unsigned short *feature, float *out,
                                        int first, int count, int channels, int height, int width) {
    mix(filters, feature, out, first, count, channels, height, width);
}

extern "C" __global__ void to_feature_float32(const float *filters, const float *grad, float *into, int images,
                                              int channels, int height, int width) {
    to_feature(filters, grad, into, images, channels, height, width);
}

extern "C" __global__ void to_feature_bfloat16(const unsigned short *filters, const unsigned short *grad,
                                               unsigned short *into, int images, int channels, int height, int width) {
    to_feature(filters, grad, into, images, channels, height, width);
}

extern "C" __global__ void to_filters_float32(const float *feature, const float *grad, float *into, int images,
                                              int channels, int height, int width) {
    to_filters(feature, grad, into, images, channels, height, width);
}

extern "C" __global__ void to_filters_bfloat16(const unsigned short *feature, const unsigned short *grad,
                                               unsigned short *into, int images, int channels, int height, int width) {
    to_filters(feature, grad, into, images, channels, height, width);
}
