// A stand-in for the driver's library libcuda: it lets CUDA's wheels load, and has no device that could compute.
#define ABSENT(name) int name(void) { return 100; }  // CUDA_ERROR_NO_DEVICE
ABSENT(cuInit) ABSENT(cuDeviceGetCount) ABSENT(cuGetProcAddress_v2) ABSENT(cuGetErrorString)
ABSENT(cuCtxGetCurrent) ABSENT(cuCtxSetCurrent) ABSENT(cuDeviceGetAttribute) ABSENT(cuDevicePrimaryCtxRetain)
ABSENT(cuMemAddressFree) ABSENT(cuMemAddressReserve) ABSENT(cuMemCreate) ABSENT(cuMemGetAllocationGranularity)
ABSENT(cuMemMap) ABSENT(cuMemRelease) ABSENT(cuMemSetAccess) ABSENT(cuMemUnmap)
ABSENT(cuPointerGetAttribute) ABSENT(cuTensorMapEncodeTiled)
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
