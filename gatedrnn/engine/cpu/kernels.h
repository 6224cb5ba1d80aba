// Register-blocked products of a few rows by one or two vectors of columns, all sizes of them.
enum { AHEAD = 16 };

template <int ROWS, int COLS>
static void kernel(long K, const R* __restrict a, long stride, const R* __restrict b,
                   R* __restrict c, long ldc, bool add) {
  V acc[ROWS][COLS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 2
    for (int j = 0; j < COLS; j++) acc[i][j] = add ? *(const VU*)(c + i * ldc + j * VL) : (V){};
#pragma GCC unroll 2
  for (long k = 0; k < K; k++) {
    // The next lines of B, across the ends of pages, at which the hardware stops.
#pragma GCC unroll 2
    for (int j = 0; j < COLS; j++) __builtin_prefetch(b + AHEAD * COLS * VL + j * VL);
    V bv[COLS];
#pragma GCC unroll 2
    for (int j = 0; j < COLS; j++) bv[j] = *(const VU*)(b + j * VL);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      V av = all(a[i]);
#pragma GCC unroll 2
      for (int j = 0; j < COLS; j++) acc[i][j] += av * bv[j];
    }
    a += stride;
    b += COLS * VL;
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 2
    for (int j = 0; j < COLS; j++) *(VU*)(c + i * ldc + j * VL) = acc[i][j];
}

typedef void (*Kernel)(long, const R*, long, const R*, R*, long, bool);

#define KERNELS(C) {0, kernel<1, C>, kernel<2, C>, kernel<3, C>, kernel<4, C>, kernel<5, C>, \
  kernel<6, C>, kernel<7, C>, kernel<8, C>, kernel<9, C>, kernel<10, C>, kernel<11, C>, kernel<12, C>}
extern "C" const Kernel TABLE[2][13] = {KERNELS(1), KERNELS(2)};

// The library has the doors of every other one.
extern "C" long workspace(const long*) { return 0; }
extern "C" void run(const long*, void* const* p) { *(const void**)p[0] = TABLE; }
