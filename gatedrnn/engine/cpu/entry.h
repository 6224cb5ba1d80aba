// The doors: how much workspace a call needs, and the call.
static char* layout(Job* j, Local* locals, const long* n, void* const* p, char* base) {
  Bump bump = {(char*)(((uintptr_t)base + 127) / 128 * 128)};
  prepare(j, n, p, &bump);
  for (int i = 0; i < n[N_THREADS]; i++) {
    Local one;
    prepare(locals ? locals + i : &one, *j, i, &bump);
  }
  return bump.at;
}

extern "C" long workspace(const long* n) {
  Job j;
  long locals = n[N_THREADS] * (long)sizeof(Local) + 256;
  return layout(&j, 0, n, 0, 0) - (char*)0 + locals + 256;
}

extern "C" void run(const long* n, void* const* p) {
  Job j;
  KERNEL = (const Kernel(*)[13])p[P_KERNELS];
  Local* locals = (Local*)(((uintptr_t)p[P_WORKSPACE] + 127) / 128 * 128);
  layout(&j, locals, n, p, (char*)(locals + n[N_THREADS]));
#pragma omp parallel num_threads(n[N_THREADS])
  {
    NoDenormals guard;
#pragma omp single
    // Inside another parallel region, or under a thread limit, fewer come than were asked for.
    j.barrier.count = omp_get_num_threads();
    if (j.barrier.count == n[N_THREADS]) THREAD(j, locals[omp_get_thread_num()]);
  }
  if (j.barrier.count != n[N_THREADS]) {
    long fewer[N_WIDTH + S];
    memcpy(fewer, n, sizeof fewer);
    fewer[N_THREADS] = 1;
    NoDenormals guard;
    layout(&j, locals, fewer, p, (char*)(locals + 1));
    THREAD(j, locals[0]);
  }
}
