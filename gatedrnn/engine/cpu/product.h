// The packed matrix product: C[rows][columns] (+)= A * B, everything at hand in vectors.
//
// B lies in panels of NR columns, [k][NR] (the last one may have VL columns). A lies with its rows
// next to each other: row i of step k at a[k * stride + i]; packed, in tiles of at most MAX_ROWS.

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
static const Kernel KERNEL[2][13] = {KERNELS(1), KERNELS(2)};

INLINE long tiles(long rows) { return (rows + MAX_ROWS - 1) / MAX_ROWS; }
INLINE long up(long n) { return (n + VL - 1) / VL * VL; }
// Leading dimensions that are multiples of large powers of two fall into the same cache sets.
INLINE long spread(long n) { return n % 128 == 0 ? n + 16 : n; }

// `have`: columns of C that exist; B is padded with zeros to a multiple of VL.
static void multiply(long M, long K, const R* A, bool packed, const R* B, long have, R* C,
                     long ldc, bool add) {
  long n = tiles(M);
  for (long j = 0; j < have; j += NR) {
    long columns = have - j < NR ? have - j : NR;
    int wide = columns > VL;
    const R* b = B + j * K;
    for (long i = 0; i < n; i++) {
      long r0 = i * M / n, rows = (i + 1) * M / n - r0;
      const R* a = packed ? A + r0 * K : A + r0;
      R* c = C + r0 * ldc + j;
      if (columns == VL * (wide + 1)) {
        KERNEL[wide][rows](K, a, packed ? rows : M, b, c, ldc, add);
      } else {
        alignas(64) R part[MAX_ROWS * NR];
        KERNEL[wide][rows](K, a, packed ? rows : M, b, part, NR, false);
        for (long r = 0; r < rows; r++)
          for (long q = 0; q < columns; q++)
            c[r * ldc + q] = part[r * NR + q] + (add ? c[r * ldc + q] : 0);
      }
    }
  }
}

// Tile `i` of a matrix given by its rows (each of K numbers), as rows [k][tile rows].
static void pack_rows(const R* const* row, long rows, long K, R* to) {
  for (long k0 = 0; k0 < K; k0 += 64) {
    long k1 = k0 + 64 < K ? k0 + 64 : K;
    for (long i = 0; i < rows; i++) {
      const R* from = row[i];
      for (long k = k0; k < k1; k++) to[k * rows + i] = from[k];
    }
  }
}

// Panels of a matrix given by its columns: column c is column[c][0..K).
static void pack_columns(const R* const* column, long columns, long K, R* to) {
  for (long j = 0; j < columns; j += NR) {
    long width = columns - j > VL ? (long)NR : (long)VL;
    R* panel = to + j * K;
    for (long k0 = 0; k0 < K; k0 += 16) {
      long k1 = k0 + 16 < K ? k0 + 16 : K;
      for (long c = 0; c < width; c++) {
        const R* from = j + c < columns ? column[j + c] : 0;
        if (from) for (long k = k0; k < k1; k++) panel[k * width + c] = from[k];
        else for (long k = k0; k < k1; k++) panel[k * width + c] = 0;
      }
    }
  }
}

// Panel of `columns` columns from rows of numbers, K of them, each `ld` after the other.
static void pack_panel(const R* from, long ld, long K, long columns, R* to) {
  long width = columns > VL ? (long)NR : (long)VL;
  for (long k = 0; k < K; k++, from += ld, to += width) {
    if (columns == width) memcpy(to, from, sizeof(R) * width);
    else for (long c = 0; c < width; c++) to[c] = c < columns ? from[c] : 0;
  }
}
