// What a call knows (Job) and what each thread has (Local): blocks of units it alone computes.
// Printed before it: the tables of the cell (see printer.py) and, as functions, its segments.

// Sizes and options, n[]: printed as N_T, N_B, ... Pointers, p[]: printed as P_X, P_LENGTHS, ...
struct Job {
  const long* n;
  void* const* p;
  long T, B, m, chunk, lddz;
  bool reverse, want_x;
  uint64_t seed;
  const int64_t* lengths;
  const R* zeros;               // as wide as the widest value
  R *packed, *dz, *exb;         // shared by all threads: packed rows, gradients of sums
  R* exf[1 + NST + NIN];        // source -> [2][units][B], values as products read them
  R* again[NIN + 1];            // inner source -> [rows][units], computed again in the backward
  long dzoff[NT + 1], exoff[NT + 1], kx;
  Barrier barrier;
  const R* in(int i) const { return (const R*)p[i]; }
  R* out(int i) const { return (R*)p[i]; }
  long width(int s) const { return n[N_WIDTH + s]; }
  long source_width(int source) const { return source ? width(SOURCE_SEGMENT[source]) : m; }
  bool valid(long t, long b) const { return !lengths || t < lengths[b]; }
  bool has_before(long t, long b) const {
    return reverse ? t + 1 < (lengths ? lengths[b] : T) : t > 0;
  }
  long before(long t) const { return reverse ? t + 1 : t - 1; }
  long frame(long f) const { return reverse ? T - 1 - f : f; }
  // A row of the input; on padding zeros, since there may be anything, even a NaN.
  const R* input(long t, long b) const {
    return valid(t, b) ? in(P_X) + (t * B + b) * m : zeros;
  }
  const R* initial(int k, long b) const {
    return p[P_INIT + k] ? in(P_INIT + k) + b * width(STATE_SEGMENT[k]) : zeros;
  }
  // State k before frame t, from its stored sequence.
  const R* previous(int k, long t, long b) const {
    long w = width(STATE_SEGMENT[k]);
    if (has_before(t, b)) return in(P_STATE_SEQUENCE[k]) + (before(t) * B + b) * w;
    return initial(k, b);
  }
};

struct Local {
  int id, count, sense;
  long u0[S], un[S], ow[S], zoff[S];  // first unit owned, how many, padded; columns in z
  long x0, xn;                        // columns of x owned
  R *z; long ldz;
  R* state[NST][2];
  R* value[NVALUES];
  R* run[NRUNS + 1];
  // backward
  R *carry[NST][2], *product[NVALUES], *pass[NVALUES], *vec[NVEC + 1], *vec_sum[NVEC + 1];
  R *gather[NGATHERS + 1], *xpack, *panel, *apack;
  const R** rows;
};

struct Bump {
  char* at;
  template <class T> T* take(long count) {
    T* here = (T*)at;
    at += (count * sizeof(T) + 127) / 128 * 128;
    return here;
  }
};

static void share(long units, int id, int count, long* first, long* mine, long* padded) {
  long blocks = (units + VL - 1) / VL;
  long b0 = blocks * id / count, b1 = blocks * (id + 1) / count;
  *first = b0 * VL < units ? b0 * VL : units;
  *mine = (b1 * VL < units ? b1 * VL : units) - *first;
  *padded = (b1 - b0) * VL;
}

static void prepare(Job* j, const long* n, void* const* p, Bump* bump) {
  memset((void*)j, 0, sizeof *j);
  j->n = n, j->p = p, j->T = n[N_T], j->B = n[N_B], j->m = n[N_M], j->chunk = n[N_CHUNK];
  j->reverse = n[N_REVERSE], j->seed = (uint64_t)n[N_SEED], j->want_x = n[N_WANT_X];
  j->lengths = p ? (const int64_t*)p[P_LENGTHS] : 0;
  j->barrier.count = n[N_THREADS];
  long widest = j->m;
  for (int s = 0; s < S; s++) if (j->width(s) > widest) widest = j->width(s);
  R* zeros = bump->take<R>(widest + VL);
  if (p) memset(zeros, 0, sizeof(R) * (widest + VL));
  j->zeros = zeros;
  long rows = j->chunk * j->B, dz = 0, ex = 0;
  for (int t = 0; t < NT; t++) {
    j->dzoff[t] = dz, dz += j->width(TOTAL_SEGMENT[t]);
    j->exoff[t] = ex;
    if (TOTAL_EXCHANGED[t]) ex += j->width(TOTAL_SEGMENT[t]) * j->B;
    if (TOTAL_HAS_X[t]) j->kx += j->width(TOTAL_SEGMENT[t]);
  }
  j->dzoff[NT] = dz, j->exoff[NT] = ex, j->lddz = spread(up(dz));
  bool back = n[N_BACKWARD];
  for (int i = 1; i < 1 + NST + NIN && !back; i++)
    if (SOURCE_USED[i]) j->exf[i] = bump->take<R>(2 * j->source_width(i) * j->B);
  if (!back && ANY_X) j->packed = bump->take<R>(rows * j->m);
  if (back) {
    if (ANY_X && j->want_x) j->packed = bump->take<R>(rows * j->kx);
    j->dz = bump->take<R>(rows * j->lddz + VL);
    j->exb = bump->take<R>(2 * ex);
    for (int i = 0; i < NIN; i++)
      if (INNER_AGAIN[i]) j->again[i] = bump->take<R>(rows * j->source_width(1 + NST + i));
  }
}

static void prepare(Local* l, const Job& j, int id, Bump* bump) {
  memset((void*)l, 0, sizeof *l);
  l->id = id, l->count = j.barrier.count;
  long rows = j.chunk * j.B, columns = 0, padded, most = 0;
  bool back = j.n[N_BACKWARD];
  for (int s = 0; s < S; s++) {
    share(j.width(s), id, l->count, &l->u0[s], &l->un[s], &l->ow[s]);
    l->zoff[s] = columns, columns += l->ow[s] * (FIRST[s + 1] - FIRST[s]);
    if (l->ow[s] > most) most = l->ow[s];
  }
  share(j.m, id, l->count, &l->x0, &l->xn, &padded);
  l->ldz = spread(columns + VL);
  l->rows = bump->take<const R*>(rows + columns + j.m + NR);
  if (!back) {
    l->z = bump->take<R>(rows * l->ldz);
    for (int k = 0; k < NST; k++)
      for (int i = 0; i < 2; i++) l->state[k][i] = bump->take<R>(j.B * l->ow[STATE_SEGMENT[k]]);
    for (int v = 0; v < NVALUES; v++)
      if (VALUE_PASSED[v]) l->value[v] = bump->take<R>(j.B * l->ow[VALUE_SEGMENT[v]]);
    for (int r = 0; r < NRUNS; r++)
      l->run[r] = bump->take<R>(RUNS[r].count * l->ow[RUNS[r].segment] *
                                j.source_width(RUNS[r].source));
    return;
  }
  for (int k = 0; k < NST; k++)
    for (int i = 0; i < 2; i++) l->carry[k][i] = bump->take<R>(j.B * l->ow[STATE_SEGMENT[k]]);
  for (int v = 0; v < NVALUES; v++) {
    if (VALUE_PRODUCT[v]) l->product[v] = bump->take<R>(j.B * l->ow[VALUE_SEGMENT[v]]);
    if (VALUE_PASSED[v]) l->pass[v] = bump->take<R>(j.B * l->ow[VALUE_SEGMENT[v]]);
  }
  for (int v = 0; v < NVEC; v++) {
    l->vec[v] = bump->take<R>(l->ow[VECTOR_SEGMENT[v]]);
    l->vec_sum[v] = bump->take<R>(l->ow[VECTOR_SEGMENT[v]]);
  }
  for (int g = 0; g < NGATHERS; g++) {
    long K = 0;
    for (int i = 0; i < GATHERS[g].count; i++) K += j.width(TOTAL_SEGMENT[GATHERS[g].t0 + i]);
    l->gather[g] = bump->take<R>(K * l->ow[VALUE_SEGMENT[GATHERS[g].value]]);
  }
  if (ANY_X && j.want_x) l->xpack = bump->take<R>(j.kx * padded);
  l->panel = bump->take<R>(rows * NR);
  l->apack = bump->take<R>(rows * columns);
}

INLINE void meet(Job& j, Local& l) { wait_all(&j.barrier, &l.sense); }

// A value of this thread's units, handed to all: [unit][row of the batch].
INLINE void hand_over(R* to, const R* from, long ld, long u0, long un, long B) {
  to += u0 * B;
  for (long u = 0; u < un; u++)
    for (long b = 0; b < B; b++) to[u * B + b] = from[b * ld + u];
}
