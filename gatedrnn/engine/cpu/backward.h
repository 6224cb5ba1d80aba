// A layer over a whole sequence, backward. The gradients of the sums of a chunk of frames stay in
// cache until they have made the chunk's share of every matrix's gradient and of x's.

// Matrices as their sources' gradients need them: [unit of a sum][own unit of the source].
static void pack_back(const Job& j, Local& l) {
  for (int g = 0; g < NGATHERS; g++) {
    const Gather& gather = GATHERS[g];
    int s = VALUE_SEGMENT[gather.value];
    long W = j.width(s), K = 0;
    for (int i = 0; i < gather.count; i++) K += j.width(TOTAL_SEGMENT[gather.t0 + i]);
    for (long c = 0; c < l.un[s]; c += NR) {
      long columns = l.un[s] - c < NR ? l.un[s] - c : NR, width = columns > VL ? (long)NR : (long)VL;
      R* to = l.gather[g] + c * K;
      for (int i = 0; i < gather.count; i++) {
        long k = j.width(TOTAL_SEGMENT[gather.t0 + i]);
        pack_panel(j.in(P_MATRIX + gather.matrix[i]) + l.u0[s] + c, W, k, columns, to);
        to += k * width;
      }
    }
  }
  if (!l.xpack) return;
  for (long c = 0; c < l.xn; c += NR) {
    long columns = l.xn - c < NR ? l.xn - c : NR, width = columns > VL ? (long)NR : (long)VL;
    R* to = l.xpack + c * j.kx;
    for (int t = 0; t < NT; t++) {
      if (!TOTAL_HAS_X[t]) continue;
      long k = j.width(TOTAL_SEGMENT[t]);
      pack_panel(j.in(P_MATRIX + TOTAL_X_MATRIX[t]) + l.x0 + c, j.m, k, columns, to);
      to += k * width;
    }
  }
}

// What products send back to the values of segment s: of this frame, and of the one after it.
static void gather_products(const Job& j, Local& l, int s, int parity, bool after) {
  bool begun[NVALUES] = {};
  for (int g = 0; g < NGATHERS; g++) {
    const Gather& gather = GATHERS[g];
    int v = gather.value;
    bool earlier = gather.source <= NST;
    if (VALUE_SEGMENT[v] != s || (earlier && !after) || !l.ow[s]) continue;
    long K = 0;
    for (int i = 0; i < gather.count; i++) K += j.width(TOTAL_SEGMENT[gather.t0 + i]);
    multiply(j.B, K, j.exb + (earlier ? parity ^ 1 : parity) * j.exoff[NT] + j.exoff[gather.t0],
             false, l.gather[g], l.ow[s], l.product[v], l.ow[s], begun[v]);
    begun[v] = true;
  }
  for (int v = 0; v < NVALUES; v++)
    if (VALUE_SEGMENT[v] == s && l.product[v] && !begun[v])
      memset(l.product[v], 0, sizeof(R) * j.B * l.ow[s]);
}

static const R* source_row(const Job& j, int source, long t, long b, long row) {
  if (source == 0) return j.input(t, b);
  if (source <= NST) return j.previous(source - 1, t, b);
  int i = source - 1 - NST;
  long w = j.source_width(source);
  if (INNER_AGAIN[i]) return j.again[i] + row * w;
  return j.in(P_INNER_SEQUENCE[i]) + (t * j.B + b) * w;
}

static void weight_gradients(const Job& j, Local& l, long f0, long f1, bool add) {
  long rows = (f1 - f0) * j.B;
  long done = 0;
  R* tile[NT];
  // Own gradients of the sums, in tiles of few columns: [row][column of the tile].
  for (int t = 0; t < NT; t++) {
    int s = TOTAL_SEGMENT[t];
    long n = tiles(l.un[s]);
    tile[t] = l.apack + done * rows;
    done += l.un[s];
    for (long i = 0; i < n; i++) {
      long c0 = i * l.un[s] / n, c = (i + 1) * l.un[s] / n - c0;
      const R* from = j.dz + j.dzoff[t] + l.u0[s] + c0;
      R* to = tile[t] + c0 * rows;
      for (long r = 0; r < rows; r++)
        for (long q = 0; q < c; q++) to[r * c + q] = from[r * j.lddz + q];
    }
  }
  for (int source = 0; source < 1 + NST + NIN; source++) {
    bool used = false;
    for (int w = 0; w < NM; w++) used |= MATRIX_SOURCE[w] == source;
    if (!used) continue;
    long K = j.source_width(source);
    for (long r = 0; r < rows; r++)
      l.rows[r] = source_row(j, source, j.frame(f0 + r / j.B), r % j.B, r);
    for (long c = 0; c < K; c += NR) {
      long columns = K - c < NR ? K - c : NR, width = columns > VL ? (long)NR : (long)VL;
      for (long r = 0; r < rows; r++) {
        const R* from = l.rows[r] + c;
        R* to = l.panel + r * width;
        if (columns == width) memcpy(to, from, sizeof(R) * width);
        else for (long q = 0; q < width; q++) to[q] = q < columns ? from[q] : 0;
      }
      for (int w = 0; w < NM; w++) {
        if (MATRIX_SOURCE[w] != source) continue;
        int t = MATRIX_TOTAL[w], s = TOTAL_SEGMENT[t];
        if (l.un[s])
          multiply(l.un[s], rows, tile[t], true, l.panel, columns,
                   j.out(P_D_MATRIX + w) + l.u0[s] * K + c, K, add);
      }
    }
  }
}

static void end_of_chunk(Job& j, Local& l, long f0, long f1, bool first) {
  long rows = (f1 - f0) * j.B, n = tiles(rows);
  meet(j, l);
  if (ANY_X && j.want_x) {
    const R* row[MAX_ROWS];
    for (long i = n * l.id / l.count; i < n * (l.id + 1) / l.count; i++) {
      long r0 = i * rows / n, count = (i + 1) * rows / n - r0;
      R* to = j.packed + r0 * j.kx;
      for (int t = 0; t < NT; t++) {
        if (!TOTAL_HAS_X[t]) continue;
        long K = j.width(TOTAL_SEGMENT[t]);
        for (long r = 0; r < count; r++) row[r] = j.dz + (r0 + r) * j.lddz + j.dzoff[t];
        pack_rows(row, count, K, to);
        to += K * count;
      }
    }
  }
  weight_gradients(j, l, f0, f1, !first);
  for (int v = 0; v < NVEC; v++)
    for (long u = 0; u < l.ow[VECTOR_SEGMENT[v]]; u++)
      l.vec_sum[v][u] += l.vec[v][u], l.vec[v][u] = 0;
  meet(j, l);
  if (!ANY_X || !j.want_x || !l.xn) return;
  // In reverse the chunk's rows lie frame by frame from its last frame to its first.
  if (!j.reverse) {
    multiply(rows, j.kx, j.packed, true, l.xpack, l.xn, j.out(P_D_X) + f0 * j.B * j.m + l.x0, j.m,
             X_POINTWISE);
    return;
  }
  for (long i = 0; i < n; i++) {
    long r0 = i * rows / n, count = (i + 1) * rows / n - r0;
    alignas(64) R part[MAX_ROWS * NR];
    for (long c = 0; c < l.xn; c += NR) {
      long columns = l.xn - c < NR ? l.xn - c : NR;
      multiply(count, j.kx, j.packed + r0 * j.kx, true, l.xpack + c * j.kx, columns, part, NR,
               false);
      for (long r = 0; r < count; r++) {
        R* to = j.out(P_D_X) + (j.frame(f0 + (r0 + r) / j.B) * j.B + (r0 + r) % j.B) * j.m;
        for (long q = 0; q < columns; q++)
          to[l.x0 + c + q] = part[r * NR + q] + (X_POINTWISE ? to[l.x0 + c + q] : 0);
      }
    }
  }
}

static void backward_thread(Job& j, Local& l) {
  pack_back(j, l);
  int parity = 0;
  for (int k = 0; k < NST; k++) {
    int s = STATE_SEGMENT[k];
    R* carry = l.carry[k][1];
    memset(carry, 0, sizeof(R) * j.B * l.ow[s]);
    if (j.p[P_D_FINAL + k])
      for (long b = 0; b < j.B; b++)
        memcpy(carry + b * l.ow[s], j.in(P_D_FINAL + k) + b * j.width(s) + l.u0[s],
               sizeof(R) * l.un[s]);
  }
  for (int v = 0; v < NVEC; v++) {
    memset(l.vec[v], 0, sizeof(R) * l.ow[VECTOR_SEGMENT[v]]);
    memset(l.vec_sum[v], 0, sizeof(R) * l.ow[VECTOR_SEGMENT[v]]);
  }
  long chunks = (j.T + j.chunk - 1) / j.chunk;
  for (long c = chunks - 1; c >= 0; c--) {
    long f0 = c * j.chunk, f1 = f0 + j.chunk < j.T ? f0 + j.chunk : j.T;
    for (long f = f1 - 1; f >= f0; f--, parity ^= 1) {
      long t = j.frame(f), row = (f - f0) * j.B;
      for (int s = S - 1; s >= 0; s--) {
        gather_products(j, l, s, parity, f + 1 < j.T);
        for (long b = 0; b < j.B; b++) SEGMENTS[s](j, l, t, b, row + b, parity);
        for (int g = FIRST[s]; g < FIRST[s + 1]; g++)
          if (TOTAL_EXCHANGED[g])
            hand_over(j.exb + parity * j.exoff[NT] + j.exoff[g],
                      j.dz + row * j.lddz + j.dzoff[g] + l.u0[s], j.lddz, l.u0[s], l.un[s], j.B);
        if (RECURRENT) meet(j, l);
      }
    }
    end_of_chunk(j, l, f0, f1, c == chunks - 1);
  }
  for (int s = 0; s < S; s++) {
    bool has = false;
    for (int g = 0; g < NGATHERS; g++)
      has |= VALUE_SEGMENT[GATHERS[g].value] == s && GATHERS[g].source <= NST;
    for (int k = 0; k < NST; k++) {
      if (STATE_SEGMENT[k] != s || !j.p[P_D_INIT + k]) continue;
      for (long b = 0; b < j.B; b++)
        memcpy(j.out(P_D_INIT + k) + b * j.width(s) + l.u0[s],
               l.carry[k][parity ^ 1] + b * l.ow[s], sizeof(R) * l.un[s]);
    }
    if (!has) continue;
    for (int k = 0; k < NST; k++) {
      if (STATE_SEGMENT[k] != s || !j.p[P_D_INIT + k]) continue;
      bool begun = false;
      int v = STATE_VALUE[k];
      for (int g = 0; g < NGATHERS; g++) {
        const Gather& gather = GATHERS[g];
        if (gather.value != v || gather.source > NST || !l.ow[s]) continue;
        long K = 0;
        for (int i = 0; i < gather.count; i++) K += j.width(TOTAL_SEGMENT[gather.t0 + i]);
        multiply(j.B, K, j.exb + (parity ^ 1) * j.exoff[NT] + j.exoff[gather.t0], false,
                 l.gather[g], l.ow[s], l.product[v], l.ow[s], begun);
        begun = true;
      }
      for (long b = 0; begun && b < j.B; b++)
        for (long u = 0; u < l.un[s]; u++)
          j.out(P_D_INIT + k)[b * j.width(s) + l.u0[s] + u] += l.product[v][b * l.ow[s] + u];
    }
  }
  for (int v = 0; v < NVEC; v++) {
    int s = VECTOR_SEGMENT[v];
    memcpy(j.out(P_D_VECTOR + v) + l.u0[s], l.vec_sum[v], sizeof(R) * l.un[s]);
  }
}
