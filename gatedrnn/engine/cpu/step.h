// One frame through a whole stack: for each layer and segment, dot products, then the cell.
// Printed before it: `typedef float R;` or double, QUANTIZED, the cells' functions and CELLS.
//
// n: B, threads, parity, layers, scratch bytes of a thread, then for each layer
//      cell, pointer table of parity 0, of parity 1, segments, then for each segment
//        function, width, products, then for each product
//          source slot, target slot, columns, whether it adds, weight, and when int8: scales, sums
// p: scratch, then pointers to buffers, each (batch, width) but for vectors and weights.
INLINE R sum_lanes(V v) {
  R s = 0;
  for (int i = 0; i < VL; i++) s += v[i];
  return s;
}

// Four rows share each load of the source; the weights stream through once.
template <int ROWS>
INLINE void dots(const R* w, long columns, const R* x, R* y, bool add) {
  V sums[ROWS] = {};
  long k = 0;
  for (; k + VL <= columns; k += VL) {
    V v = ld(x + k, Full());
    for (int r = 0; r < ROWS; r++) sums[r] += ld(w + r * columns + k, Full()) * v;
  }
  for (int r = 0; r < ROWS; r++) {
    R s = sum_lanes(sums[r]);
    for (long i = k; i < columns; i++) s += w[r * columns + i] * x[i];
    y[r] = add ? y[r] + s : s;
  }
}

static void product(const R* w, long columns, const R* x, R* y, long from, long to, bool add) {
  long r = from;
  for (; r + 4 <= to; r += 4) dots<4>(w + r * columns, columns, x, y + r, add);
  for (; r < to; r++) dots<1>(w + r * columns, columns, x, y + r, add);
}

// Weights int8 with a scale for each row; the source is rounded to 8 bits as it comes.
struct Rounded {
  uint8_t* values;
  R scale;
};
static void round_source(const R* x, long columns, Rounded* q) {
  R top = 0;
  for (long i = 0; i < columns; i++) top = fabs(x[i]) > top ? fabs(x[i]) : top;
  q->scale = top > 0 ? top / 127 : 1;
  R inverse = 1 / q->scale;
  for (long i = 0; i < columns; i++) q->values[i] = (uint8_t)(int)(x[i] * inverse + (R)128.5);
}
static void product8(const int8_t* w, const R* scales, const int32_t* sums, long columns,
                     const Rounded& q, R* y, long from, long to, bool add) {
  const uint8_t* x = q.values;
  for (long r = from; r < to; r++) {
    const int8_t* row = w + r * columns;
    int32_t total = 0;
    for (long i = 0; i < columns; i++) total += (int32_t)x[i] * (int32_t)row[i];
    // Values are stored 128 too high, so that they have no sign.
    R s = (R)(total - 128 * sums[r]) * (scales[r] * q.scale);
    y[r] = add ? y[r] + s : s;
  }
}

static void frame(const long* n, void* const* p, int thread, int threads, Barrier* barrier,
                  uint8_t* scratch) {
  const long batch = n[0], parity = n[2], layers = n[3];
  int sense = 0;
  const long* at = n + 5;
  for (long layer = 0; layer < layers; layer++) {
    const long cell = at[0], segments = at[3];
    R* const* slots = (R* const*)(p + at[1 + parity]);
    at += 4;
    for (long segment = 0; segment < segments; segment++) {
      const long function = at[0], width = at[1], products = at[2];
      at += 3;
      const long blocks = (width + VL - 1) / VL;
      long from = blocks * thread / threads * VL, to = blocks * (thread + 1) / threads * VL;
      if (to > width) to = width;
      long rounded = -1;
      Rounded q = {scratch, 1};
      for (long b = 0; b < batch; b++) {
        const long* one = at;
        for (long i = 0; i < products; i++, one += QUANTIZED ? 7 : 5) {
          const long columns = one[2];
          const R* x = slots[one[0]] + b * columns;
          R* y = slots[one[1]] + b * width;
#if QUANTIZED
          if (rounded != one[0] * batch + b) round_source(x, columns, &q);
          rounded = one[0] * batch + b;
          product8((const int8_t*)p[one[4]], (const R*)p[one[5]], (const int32_t*)p[one[6]], columns,
                   q, y, from, to, one[3]);
#else
          product((const R*)p[one[4]], columns, x, y, from, to, one[3]);
#endif
        }
        if (from < to) CELLS[cell + function](slots, b, from, to, width);
      }
      (void)rounded, (void)q;
      at += products * (QUANTIZED ? 7 : 5);
      wait_all(barrier, &sense);
    }
  }
}

extern "C" long workspace(const long*) { return 0; }
extern "C" void run(const long* n, void* const* p) {
  Barrier barrier = {1, 0, 0, 0};
  uint8_t* scratch = (uint8_t*)p[0];
  if (n[1] == 1) {
    NoDenormals guard;
    frame(n, p, 0, 1, &barrier, scratch);
    return;
  }
#pragma omp parallel num_threads(n[1])
  {
    NoDenormals guard;
#pragma omp single
    // Under a thread limit fewer come than were asked for.
    barrier.count = omp_get_num_threads();
    const int mine = omp_get_thread_num();
    frame(n, p, mine, barrier.count, &barrier, scratch + mine * n[4]);
  }
}
