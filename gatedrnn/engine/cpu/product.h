// The packed matrix product: C[rows][columns] (+)= A * B, everything at hand in vectors.
//
// B lies in panels of NR columns, [k][NR] (the last one may have VL columns). A lies with its rows
// next to each other: row i of step k at a[k * stride + i]; packed, in tiles of at most MAX_ROWS.
// The kernels are a library of their own (kernels.h), compiled once for all cells.
typedef void (*Kernel)(long, const R*, long, const R*, R*, long, bool);
static const Kernel (*KERNEL)[13];

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
