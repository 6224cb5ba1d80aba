// Vectors, elementary functions and the barrier of a printed recurrence.
// Printed before it: `typedef float R;` or `typedef double R;`.
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__AVX512F__)
enum { VBYTES = 64, MAX_ROWS = 12 };
#elif defined(__AVX__)
enum { VBYTES = 32, MAX_ROWS = 6 };
#elif defined(__aarch64__)
enum { VBYTES = 16, MAX_ROWS = 8 };
#else
enum { VBYTES = 16, MAX_ROWS = 4 };
#endif
enum { VL = VBYTES / sizeof(R), NR = 2 * VL };

template <class T> struct Bits;
template <> struct Bits<float> {
  typedef int32_t I;
  enum { mantissa = 23, bias = 127, terms = 8, log_terms = 5 };
  static constexpr float magic = 12582912.0f, top = 88.0f, flat = 10.0f;
  static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860682030941723212e-6f;
};
template <> struct Bits<double> {
  typedef int64_t I;
  enum { mantissa = 52, bias = 1023, terms = 14, log_terms = 11 };
  static constexpr double magic = 6755399441055744.0, top = 708.0, flat = 20.0;
  static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
};
typedef Bits<R> K_;
typedef K_::I I;
typedef R V __attribute__((vector_size(VBYTES)));
typedef R VU __attribute__((vector_size(VBYTES), aligned(sizeof(R)), may_alias));
typedef I VI __attribute__((vector_size(VBYTES)));
#define INLINE static inline __attribute__((always_inline))

INLINE V all(R a) { return a - (V){}; }

// How many units of a vector exist: all of them, or the first n at the end of a layer.
struct Full {};
struct Part { long n; };
INLINE V ld(const R* p, Full) { return *(const VU*)p; }
INLINE V ld(const R* p, Part k) {
  V v = {};
  for (long i = 0; i < k.n; i++) v[i] = p[i];
  return v;
}
INLINE void st(R* p, V v, Full) { *(VU*)p = v; }
INLINE void st(R* p, V v, Part k) { for (long i = 0; i < k.n; i++) p[i] = v[i]; }

// ---- elementary functions: a NaN stays one -------------------------------------------------
// exp(x) - 1 = 2^n (p + 1) - 1, p = exp(r) - 1 by its Taylor series on |r| <= ln(2)/2.
INLINE void split_exp(V x, V* p, V* scale) {
  V shifted = x * (R)1.44269504088896340736 + K_::magic;
  V n = shifted - K_::magic;
  V r = (x - n * K_::ln2_high) - n * K_::ln2_low;
  static const R inverse[15] = {1, 1, (R)1 / 2, (R)1 / 6, (R)1 / 24, (R)1 / 120, (R)1 / 720,
    (R)1 / 5040, (R)1 / 40320, (R)1 / 362880, (R)1 / 3628800, (R)1 / 39916800, (R)1 / 479001600,
    (R)(1.0 / 6227020800.0), (R)(1.0 / 87178291200.0)};
  V q = all(inverse[K_::terms - 1]);
#pragma GCC unroll 16
  for (int k = K_::terms - 2; k >= 2; k--) q = q * r + inverse[k];
  *p = q * (r * r) + r;
  VI e = (VI)shifted - (VI)all(K_::magic);
  *scale = (V)((e + (I)K_::bias) << (I)K_::mantissa);
}
INLINE V clip(V x, R low, R high) {
  x = x > high ? all(high) : x;
  return x < low ? all(low) : x;
}
INLINE V exp_(V x) {
  V p, s, limited = clip(x, -K_::top + 1, K_::top);
  split_exp(limited, &p, &s);
  V y = s * p + s;
  y = x > K_::top ? all((R)INFINITY) : y;
  return x < -K_::top + 1 ? all((R)0) : y;
}
INLINE V expm1_(V x) {
  V p, s, limited = clip(x, -K_::top + 1, K_::top);
  split_exp(limited, &p, &s);
  V y = s * p + (s - 1);
  return x > K_::top ? all((R)INFINITY) : y;
}
INLINE V sigmoid_(V x) {
  V p, s;
  split_exp(clip(-x, -K_::top + 1, K_::top - 1), &p, &s);
  return 1 / ((s * p + s) + 1);
}
INLINE V tanh_(V x) {
  V p, s;
  split_exp(clip(2 * x, -2 * K_::flat, 2 * K_::flat), &p, &s);
  V y = s * p + (s - 1);
  return y / (y + 2);
}
INLINE V log_(V x) {
  VI bits = (VI)x;
  // Exponent such that the mantissa lies in [sqrt(1/2), sqrt(2)).
  VI e = (bits - (VI)all((R)0.70710678118654752440)) >> (I)K_::mantissa;
  V m = (V)(bits - (e << (I)K_::mantissa));
  V n = __builtin_convertvector(e, V);
  V t = (m - 1) / (m + 1), t2 = t * t;
  V q = all((R)1 / (2 * K_::log_terms + 1));
#pragma GCC unroll 16
  for (int k = K_::log_terms - 1; k >= 1; k--) q = q * t2 + (R)1 / (2 * k + 1);
  V y = n * K_::ln2_high + (2 * t + (2 * t * t2 * q + n * K_::ln2_low));
  y = x == 0 ? all(-(R)INFINITY) : y;
  y = x < 0 ? all((R)NAN) : y;
  return (x != x) | (x == (R)INFINITY) ? x : y;
}
INLINE V log1p_(V x) {
  V u = 1 + x;
  V y = log_(u) + (x - (u - 1)) / u;
  return u == 1 ? x : (x == (R)INFINITY ? x : y);
}
INLINE V maximum_(V a, V b) { return (a > b) | (a != a) ? a : b; }
INLINE V minimum_(V a, V b) { return (a < b) | (a != a) ? a : b; }
INLINE V abs_(V a) { return a < 0 ? -a : a; }
INLINE V sgn_(V a) { return a > 0 ? all(1) : (a < 0 ? all(-1) : a); }
INLINE V sqrt_(V a) {
  for (int i = 0; i < VL; i++) a[i] = (R)sqrt(a[i]);
  return a;
}
INLINE V softplus_(V z) { return maximum_(z, all(0)) + log1p_(exp_(-abs_(z))); }

// ---- numbers next to zero ----------------------------------------------------------------------
// While one of these lives, its thread takes denormal numbers for zeros. Gates that have run into
// saturation make many of them, and each would cost a hundred cycles or more.
struct NoDenormals {
#if defined(__SSE__)
  unsigned before = __builtin_ia32_stmxcsr();
  NoDenormals() { __builtin_ia32_ldmxcsr(before | 0x8040); }
  ~NoDenormals() { __builtin_ia32_ldmxcsr(before); }
#elif defined(__aarch64__)
  uint64_t before;
  NoDenormals() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1ull << 24)));
  }
  ~NoDenormals() { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#endif
};

// ---- threads -----------------------------------------------------------------------------------
struct Barrier {
  int count;
  alignas(64) int waiting;
  alignas(64) int sense;
  alignas(64) int asleep;
};
INLINE void pause_() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
// A thread that waits long waits for one that lost its core: it must not hold on to its own.
#if defined(__linux__)
static void sleep_while(int* word, int value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, (void*)0, (void*)0, 0);
}
static void wake(int* word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, 0, 0, 0); }
#else
extern "C" int sched_yield(void);
static void sleep_while(int*, int) { sched_yield(); }
static void wake(int*) {}
#endif
enum { SPINS = 2000 };

static void wait_all(Barrier* b, int* mine) {
  if (b->count == 1) return;
  int before = *mine, sense = *mine = !before;
  if (__atomic_add_fetch(&b->waiting, 1, __ATOMIC_ACQ_REL) == b->count) {
    __atomic_store_n(&b->waiting, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&b->sense, sense, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&b->asleep, __ATOMIC_SEQ_CST)) wake(&b->sense);
    return;
  }
  for (int spins = 0; spins < SPINS; spins++) {
    if (__atomic_load_n(&b->sense, __ATOMIC_ACQUIRE) == sense) return;
    pause_();
  }
  __atomic_add_fetch(&b->asleep, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&b->sense, __ATOMIC_SEQ_CST) != sense) sleep_while(&b->sense, before);
  __atomic_sub_fetch(&b->asleep, 1, __ATOMIC_SEQ_CST);
}
