// Enough of CUDA C for the kernels of this project to run on the CPU: one thread after the other, in grid order.
//
// What it shows: arithmetic, indices, bounds, and that every value is written before it is read. What it cannot show:
// races, since nothing is concurrent (the kernels have none by construction: a thread writes what is its own, or adds
// integers atomically), speed, and the last bits of __powf, which is libm's powf here.
// No shared memory, barriers, shuffles or warps: a kernel that uses them does not compile.
#include <cmath>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __powf powf
#define __fmul_rn(a, b) ((a) * (b))  // compiled with -ffp-contract=off

struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct dim3 { unsigned x, y, z; };
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }

static inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, sizeof x); return x; }
static inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, sizeof bits); return bits; }

static dim3 gridDim, blockDim, blockIdx, threadIdx;

static inline unsigned long long atomicAdd(unsigned long long *place, unsigned long long value) {
    unsigned long long before = *place;
    *place += value;
    return before;
}
static inline int atomicAdd(int *place, int value) {
    int before = *place;
    *place += value;
    return before;
}

template <class... A, size_t... I>
static void over_grid(void (*kernel)(A...), const unsigned *grid, const unsigned *block, void **arguments,
                      std::index_sequence<I...>) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
                for (threadIdx.z = 0; threadIdx.z < block[2]; threadIdx.z++)
                    for (threadIdx.y = 0; threadIdx.y < block[1]; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < block[0]; threadIdx.x++)
                            kernel(*static_cast<A *>(arguments[I])...);
}

template <class... A>
static void launch(void (*kernel)(A...), const unsigned *grid, const unsigned *block, void **arguments) {
    over_grid(kernel, grid, block, arguments, std::index_sequence_for<A...>());
}

// bytes and kind of each parameter: 'p' pointer, 'f' floating point, 'i' integer; 0 ends the list
template <class... A> static void describe(void (*)(A...), char *kinds, unsigned *sizes) {
    size_t n = 0;
    ((kinds[n] = std::is_pointer<A>::value ? 'p' : std::is_floating_point<A>::value ? 'f' : 'i', sizes[n++] = sizeof(A)),
     ...);
    kinds[n] = 0;
}

#define EXPORT(name)                                                                                                   \
    extern "C" void launch_##name(const unsigned *grid, const unsigned *block, void **arguments) {                     \
        launch(name, grid, block, arguments);                                                                          \
    }                                                                                                                  \
    extern "C" void describe_##name(char *kinds, unsigned *sizes) { describe(name, kinds, sizes); }
