// Begins every .cu file of this folder: where a thread is in its grid.
__device__ __forceinline__ int column_of_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int row_of_thread() { return blockIdx.y * blockDim.y + threadIdx.y; }
__device__ __forceinline__ int layer_of_thread() { return blockIdx.z * blockDim.z + threadIdx.z; }
