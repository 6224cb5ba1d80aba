// Gamma draws and their gradient, a vector of units at a time. Printed after runtime.h, for the
// cells that draw.
enum { WORDS = VBYTES / 8 };
typedef uint32_t W32 __attribute__((vector_size(4 * VL)));
typedef uint64_t W64 __attribute__((vector_size(4 * VL)));

INLINE bool any(VI mask) {
  int64_t part[WORDS], found = 0;
  memcpy(part, &mask, sizeof part);
  for (int i = 0; i < WORDS; i++) found |= part[i];
  return found != 0;
}
INLINE W32 words(uint32_t value) { return value - (W32){}; }
// High and low words of M * c.
INLINE W32 product_words(W32 c, uint32_t m, W32* low) {
  W64 even = ((W64)c & 0xFFFFFFFFu) * m, odd = ((W64)c >> 32) * m;
  *low = (W32)((even & 0xFFFFFFFFu) | (odd << 32));
  return (W32)((even >> 32) | (odd & ~(uint64_t)0xFFFFFFFFu));
}

// Philox 4x32-10 (Salmon et al. 2011): random bits are a function of their place, not of who asks.
INLINE void philox(W32* c, uint32_t k0, uint32_t k1) {
  for (int i = 0; i < 10; i++) {
    W32 low0, low2;
    W32 high0 = product_words(c[0], 0xD2511F53u, &low0);
    W32 high2 = product_words(c[2], 0xCD9E8D57u, &low2);
    c[0] = high2 ^ c[1] ^ k0, c[1] = low2;
    c[2] = high0 ^ c[3] ^ k1, c[3] = low0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
}
// In (0, 1]; never 0, and fine near it, where it is the tail of a logarithm.
INLINE V uniform(W32 bits) {
  return (__builtin_convertvector(bits, V) + (R)0.5) * (R)(1.0 / 4294967296.0);
}
// cos(2 pi w) for 0 <= w <= 1, as the negated sine of an angle of at most a quarter turn.
INLINE V cos_turns(V w) {
  V s = ((R)0.25 - abs_(w - (R)0.5)) * (R)6.283185307179586, s2 = s * s;
  enum { terms = sizeof(R) == 4 ? 7 : 11 };
  V q = all(1);
#pragma GCC unroll 16
  for (int k = terms - 1; k >= 1; k--) q = 1 - q * s2 * (R)(1.0 / ((2 * k) * (2 * k + 1)));
  return -(q * s);
}

// Gamma(a, 1) by Marsaglia and Tsang 2000; below a = 1 from Gamma(a + 1) * U^(1/a). Each try takes
// the bits of a place of its own; tries go on until every lane has one that is accepted.
static __attribute__((noinline)) V gamma_(V a, uint64_t seed, long frame, long row, long unit,
                                          int which, long count) {
  VI lane;
  for (int i = 0; i < VL; i++) lane[i] = i;
  VI waiting = (lane < (I)count) & (a > 0);
  V shape = waiting ? a : all(1), boost = all(1), y = {};
  VI small = shape < 1;
  V raised = small ? shape + 1 : shape;
  V d = raised - (R)(1.0 / 3), c = 1 / (3 * sqrt_(d));
  W32 place = __builtin_convertvector(lane, W32) + words((uint32_t)unit);
  for (uint32_t tries = 0; any(waiting); tries++) {
    W32 bits[4] = {words((uint32_t)frame), words((uint32_t)row), place,
                   words((uint32_t)which << 24 | tries)};
    philox(bits, (uint32_t)seed, (uint32_t)(seed >> 32));
    if (!tries && any(small)) boost = small ? exp_(log_(uniform(bits[3])) / shape) : boost;
    V x = sqrt_(-2 * log_(uniform(bits[0]))) * cos_turns(uniform(bits[1]));
    V v = 1 + c * x;
    VI good = waiting & (v > 0);
    V cube = v * v * v, log_cube = 3 * log_(good ? v : all(1)), q = uniform(bits[2]);
    good &= (q < 1 - (R)0.0331 * (x * x) * (x * x)) |
            (log_(q) < (R)0.5 * (x * x) + d * (1 - cube + log_cube));
    y = good ? boost * d * cube : y;
    waiting &= ~good;
  }
  // As PyTorch: never exactly zero.
  const R least = sizeof(R) == 4 ? (R)1.17549435e-38 : (R)2.2250738585072014e-308;
  y = y > least ? y : all(least);
  return a > 0 ? y : all((R)NAN);
}
INLINE V gamma_(V a, uint64_t seed, long t, long b, long u, int which, Full) {
  return gamma_(a, seed, t, b, u, which, (long)VL);
}
INLINE V gamma_(V a, uint64_t seed, long t, long b, long u, int which, Part k) {
  return gamma_(a, seed, t, b, u, which, k.n);
}

// d draw / d a of a draw x of Gamma(a, 1), by the approximations that PyTorch makes
// (torch._standard_gamma_grad): a series for small x, Rice's saddle point for large a, a rational
// function between them.
//
// The series is -(d cdf / d a) / pdf, in which x^a cancels. With S1 = sum (-x)^i / i! / (a + i) and
// S2 the same over (a + i)^2, i = 0..5, it is x e^x (S2 - (log x - digamma(a)) S1); the terms of
// i = 0, huge for small a, cancel by digamma(a) = digamma(a + 1) - 1/a.
INLINE V slope_series(V a, V x) {
  V first = {}, second = {}, rest = {}, factor = all(1), inverse;
#pragma GCC unroll 8
  for (int i = 1; i <= 5; i++) {
    inverse = 1 / (a + (R)i), factor *= x * (R)(-1.0 / i);
    first += factor * inverse, second += factor * inverse * inverse, rest += inverse;
  }
  rest += 1 / (a + 6);
  V y = a + 7, r = 1 / y, r2 = r * r, b = 1 / a;
  V tail = (R)(691.0 / 32760) * r2 - (R)(1.0 / 132);
  tail = (R)(1.0 / 12) - r2 * ((R)(1.0 / 120) - r2 * ((R)(1.0 / 252) -
         r2 * ((R)(1.0 / 240) + r2 * tail)));
  V digamma = log_(y) - (R)0.5 * r - r2 * tail - rest;  // of a + 1
  return x * exp_(x) * (second - first * b - (log_(x) - digamma) * (b + first));
}
INLINE V slope_saddle(V a, V x) {
  V near = (1 + 24 * a * (1 + 12 * a)) *
           (1440 * (a * a) + 6 * x * (53 - 120 * x) - 65 * x * x / a + a * (107 + 3600 * x)) /
           (1244160 * (a * a) * (a * a));
  // delta - log(1 + delta) with the least cancellation.
  V delta = (x - a) / a, ratio = log1p_(delta), root = sqrt_(8 * a);
  V gap = a * (delta - ratio), term3 = 1 / (gap * sqrt_(gap)), term2 = -root / (x - a);
  V sum = x < a ? term2 - term3 : term2 + term3;
  V term1 = ratio * sum - sqrt_(2 / a) * (a + x) / ((x - a) * (x - a));
  V stirling = 1 + 1 / (12 * a) * (1 + 1 / (24 * a));
  V far = -stirling * x * term1 / root;
  return (x >= (R)0.9 * a) & (x <= (R)1.1 * a) ? near : far;
}
INLINE V slope_between(V a, V x) {
  static const R table[3][8] = {
    {(R)0.16009398, (R)-0.094634809, (R)0.025146376, (R)-0.0030648343, 1, (R)0.32668115,
     (R)0.10406089, (R)0.0014179084},
    {(R)0.53487893, (R)0.1298071, (R)0.065735949, (R)-0.0015649758, (R)0.16639465,
     (R)0.020070113, (R)-0.0035938915, (R)-0.00058392623},
    {(R)0.040121004, (R)-0.0065914022, (R)-0.0026286047, (R)-0.0013441777, (R)0.017050642,
     (R)-0.0021309326, (R)0.00085092367, (R)-1.5247877e-07},
  };
  V u = log_(x / a), v = log_(a), row[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) row[i] = table[0][i] + u * (table[1][i] + u * table[2][i]);
  V p = row[0] + v * (row[1] + v * (row[2] + v * row[3]));
  return exp_(p / (row[4] + v * (row[5] + v * (row[6] + v * row[7]))));
}
static __attribute__((noinline)) V gamma_grad_(V a, V x) {
  VI series = x < (R)0.8, saddle = ~series & (a > 8);
  V y = {};
  if (any(~(series | saddle))) y = slope_between(a, x);
  if (any(series)) y = series ? slope_series(a, x) : y;
  if (any(saddle)) y = saddle ? slope_saddle(a, x) : y;
  // As PyTorch: nothing where the series has no value.
  return series & (y != y) ? all(0) : y;
}
