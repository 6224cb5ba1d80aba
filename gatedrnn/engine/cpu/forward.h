// A layer over a whole sequence, forward: one parallel region for all frames.

// Columns of z that a run of products fills, as rows of its matrices.
static void pack_run(const Job& j, Local& l, int r) {
  const Run& run = RUNS[r];
  long ow = l.ow[run.segment], un = l.un[run.segment], K = j.source_width(run.source);
  for (int i = 0; i < run.count; i++)
    for (long u = 0; u < ow; u++)
      l.rows[i * ow + u] = u < un ? j.in(P_MATRIX + run.matrix[i]) + (l.u0[run.segment] + u) * K : 0;
  pack_columns(l.rows, run.count * ow, K, l.run[r]);
}

static void run_products(const Job& j, Local& l, int s, long row, int parity) {
  for (int r = 0; r < NRUNS; r++) {
    const Run& run = RUNS[r];
    if (run.segment != s || run.source == 0 || !l.ow[s]) continue;
    long K = j.source_width(run.source);
    int which = run.source <= NST ? parity ^ 1 : parity;
    multiply(j.B, K, j.exf[run.source] + which * K * j.B, false, l.run[r],
             run.count * l.ow[s], l.z + row * l.ldz + l.zoff[s] + (run.t0 - FIRST[s]) * l.ow[s],
             l.ldz, run.add);
  }
}

static void input_products(Job& j, Local& l, long f0, long f1) {
  if (!ANY_X) return;
  meet(j, l);
  long rows = (f1 - f0) * j.B, n = tiles(rows);
  const R* row[MAX_ROWS];
  for (long i = n * l.id / l.count; i < n * (l.id + 1) / l.count; i++) {
    long r0 = i * rows / n, r1 = (i + 1) * rows / n;
    for (long r = r0; r < r1; r++)
      row[r - r0] = j.input(j.frame(f0 + r / j.B), r % j.B);
    pack_rows(row, r1 - r0, j.m, j.packed + r0 * j.m);
  }
  meet(j, l);
  for (int r = 0; r < NRUNS; r++) {
    const Run& run = RUNS[r];
    if (run.source == 0 && l.ow[run.segment])
      multiply(rows, j.m, j.packed, true, l.run[r], run.count * l.ow[run.segment],
               l.z + l.zoff[run.segment] + (run.t0 - FIRST[run.segment]) * l.ow[run.segment],
               l.ldz, run.add);
  }
}

static void forward_thread(Job& j, Local& l) {
  for (int r = 0; r < NRUNS; r++) pack_run(j, l, r);
  for (int k = 0; k < NST; k++) {
    int s = STATE_SEGMENT[k];
    for (long b = 0; b < j.B; b++)
      memcpy(l.state[k][1] + b * l.ow[s], j.initial(k, b) + l.u0[s],
             sizeof(R) * l.un[s]);
    if (SOURCE_USED[1 + k])
      hand_over(j.exf[1 + k] + j.width(s) * j.B, l.state[k][1], l.ow[s], l.u0[s], l.un[s], j.B);
  }
  meet(j, l);
  int parity = 0;
  for (long f0 = 0; f0 < j.T; f0 += j.chunk) {
    long f1 = f0 + j.chunk < j.T ? f0 + j.chunk : j.T;
    input_products(j, l, f0, f1);
    for (long f = f0; f < f1; f++, parity ^= 1) {
      long t = j.frame(f), row = (f - f0) * j.B;
      for (int s = 0; s < S; s++) {
        run_products(j, l, s, row, parity);
        for (long b = 0; b < j.B; b++) SEGMENTS[s](j, l, t, b, row + b, parity);
        for (int i = 1; i < 1 + NST + NIN; i++) {
          if (!SOURCE_USED[i] || SOURCE_SEGMENT[i] != s) continue;
          const R* from = i <= NST ? l.state[i - 1][parity] : l.value[INNER_VALUE[i - 1 - NST]];
          hand_over(j.exf[i] + parity * j.width(s) * j.B, from, l.ow[s], l.u0[s], l.un[s], j.B);
        }
        if (RECURRENT) meet(j, l);
      }
    }
  }
  for (int k = 0; k < NST; k++) {
    int s = STATE_SEGMENT[k];
    for (long b = 0; b < j.B; b++)
      memcpy(j.out(P_FINAL + k) + b * j.width(s) + l.u0[s], l.state[k][parity ^ 1] + b * l.ow[s],
             sizeof(R) * l.un[s]);
  }
}
