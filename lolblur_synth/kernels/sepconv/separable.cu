// The operator of SepConv on CUDA: each pixel by a vertical and a horizontal kernel of its own (Niklaus, Mai and Liu,
// ICCV 2017, section 3). One thread is one pixel of one frame, with its sums in registers; neighbours share taps through
// the cache. Plain C apart from the index built-ins.

#define CHANNELS 3

// frame (N, 3, H, W); vertical, horizontal (N, taps, H, W), taps odd; the frame goes on beyond its border as it ends
extern "C" __global__ void separable(const float *__restrict__ frame, const float *__restrict__ vertical,
                                     const float *__restrict__ horizontal, float *__restrict__ out, int frames,
                                     int taps, int height, int width) {
    int x = column_of_thread(), y = row_of_thread(), n = layer_of_thread();
    if (x >= width || y >= height || n >= frames) return;
    size_t plane = (size_t)height * width, place = (size_t)y * width + x;
    const float *down = vertical + n * taps * plane + place, *across = horizontal + n * taps * plane + place;
    const float *pixels = frame + n * CHANNELS * plane;
    float total[CHANNELS] = {0, 0, 0};
    for (int i = 0; i < taps; i++) {
        const float *row = pixels + (size_t)min(max(y + i - taps / 2, 0), height - 1) * width;
        float line[CHANNELS] = {0, 0, 0};
        for (int j = 0; j < taps; j++) {
            const float *pixel = row + min(max(x + j - taps / 2, 0), width - 1);
            float weight = across[j * plane];
#pragma unroll
            for (int c = 0; c < CHANNELS; c++) line[c] += weight * pixel[c * plane];
        }
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) total[c] += down[i * plane] * line[c];
    }
    for (int c = 0; c < CHANNELS; c++) out[(n * CHANNELS + c) * plane + place] = total[c];
}
