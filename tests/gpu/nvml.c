// A stand-in for NVIDIA's management library: the GPUs that STUB_GPUS describes as name:GiB:major.minor, one after another,
// separated by commas. A memory of 0 is a GPU that shares the machine's. STUB_MIG divides the first one: number x GiB. It
// answers what vLLM and Troop ask, and no more.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
typedef struct { char name[64]; unsigned long long bytes; int major, minor, mig; } Gpu;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } Memory2;
static Gpu gpus[16], parts[7];
static unsigned int count, divided;

int nvmlInit_v2(void) {
  const char *text = getenv("STUB_GPUS");
  count = 0;
  while (text && *text && count < 16) {
    double gib = 0;
    Gpu *gpu = &gpus[count++];
    sscanf(text, "%63[^:]:%lf:%d.%d", gpu->name, &gib, &gpu->major, &gpu->minor);
    gpu->bytes = (unsigned long long)(gib * (1ULL << 30));
    text = strchr(text, ',');
    text = text ? text + 1 : "";
  }
  double gib = 0;
  divided = 0;
  if (getenv("STUB_MIG")) sscanf(getenv("STUB_MIG"), "%ux%lf", &divided, &gib);
  for (unsigned int part = 0; part < divided; part++) {
    parts[part] = gpus[0];
    parts[part].bytes = (unsigned long long)(gib * (1ULL << 30)), parts[part].mig = 1;
  }
  return OK;
}
int nvmlInit(void) { return nvmlInit_v2(); }
int nvmlInitWithFlags(unsigned int flags) { return nvmlInit_v2(); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == OK ? "ok" : "stub: not supported"; }
int nvmlSystemGetDriverVersion(char *text, unsigned int length) {
  const char *version = getenv("STUB_DRIVER");
  snprintf(text, length, "%s", version ? version : "580.95.05");
  return OK;
}
int nvmlDeviceGetCount_v2(unsigned int *number) { *number = count; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Gpu **gpu) {
  if (index >= count) return INVALID;
  *gpu = &gpus[index];
  return OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) {
  unsigned int index;
  if (sscanf(uuid, "MIG-%u", &index) == 1 && index < divided) {
    *gpu = &parts[index];
    return OK;
  }
  if (sscanf(uuid, "GPU-%u", &index) != 1 || index >= count) return NOT_FOUND;
  *gpu = &gpus[index];
  return OK;
}
int nvmlDeviceGetName(Gpu *gpu, char *text, unsigned int length) { snprintf(text, length, "%s", gpu->name); return OK; }
int nvmlDeviceGetUUID(Gpu *gpu, char *text, unsigned int length) {
  snprintf(text, length, gpu->mig ? "MIG-%ld" : "GPU-%ld", (long)(gpu - (gpu->mig ? parts : gpus)));
  return OK;
}
int nvmlDeviceGetIndex(Gpu *gpu, unsigned int *index) { *index = gpu - (gpu->mig ? parts : gpus); return OK; }
int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
  if (!gpu->bytes) return NOT_SUPPORTED;
  *memory = (Memory){gpu->bytes, gpu->bytes - (1ULL << 30), 1ULL << 30};
  return OK;
}
int nvmlDeviceGetMemoryInfo_v2(Gpu *gpu, Memory2 *memory) {
  if (!gpu->bytes) return NOT_SUPPORTED;
  memory->total = gpu->bytes, memory->reserved = 0, memory->used = 1ULL << 30, memory->free = gpu->bytes - memory->used;
  return OK;
}
int nvmlDeviceGetMigMode(Gpu *gpu, unsigned int *now, unsigned int *next) {
  if (gpu != gpus || !divided) return NOT_SUPPORTED;
  *now = *next = 1;
  return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(Gpu *gpu, unsigned int *most) { *most = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Gpu *gpu, unsigned int index, Gpu **part) {
  if (index >= divided) return NOT_FOUND;
  *part = &parts[index];
  return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Gpu *part, Gpu **gpu) { *gpu = gpus; return OK; }
int nvmlDeviceGetCudaComputeCapability(Gpu *gpu, int *major, int *minor) {
  if (gpu->mig) return INVALID;
  *major = gpu->major, *minor = gpu->minor;
  return OK;
}
int nvmlDeviceGetP2PStatus(Gpu *one, Gpu *other, int index, int *status) { *status = 0; return OK; }
