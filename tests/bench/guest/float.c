/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scalar floating point; built for SSE2 and, with -mfpmath=387, for the x87. */
#include "tests/bench/guest/bench.h"

#include <math.h>
#include <string.h>

static uint64_t
bits (double value)
{
  uint64_t word;

  memcpy (&word, &value, sizeof word);
  return word;
}

typedef struct
{
  double x[3], v[3], mass;
} Body;

static void
advance (Body *bodies, int count, double step)
{
  for (int i = 0; i < count; i++)
    for (int j = i + 1; j < count; j++)
      {
        Body *a = &bodies[i], *b = &bodies[j];
        double d[3], square = 0, force;

        for (int k = 0; k < 3; k++)
          {
            d[k] = a->x[k] - b->x[k];
            square += d[k] * d[k];
          }
        force = step / (square * sqrt (square));
        for (int k = 0; k < 3; k++)
          {
            a->v[k] -= d[k] * b->mass * force;
            b->v[k] += d[k] * a->mass * force;
          }
      }
  for (int i = 0; i < count; i++)
    for (int k = 0; k < 3; k++)
      bodies[i].x[k] += step * bodies[i].v[k];
}

static uint64_t
nbody (uint64_t amount)
{
  enum { COUNT = 5 };
  Body bodies[COUNT];
  uint64_t hash = 0;

  for (int i = 0; i < COUNT; i++)
    for (int k = 0; k < 3; k++)
      {
        bodies[i].x[k] = (i + 1) * (k == i % 3 ? 4.5 : -0.7 * (k + 1));
        bodies[i].v[k] = 0.05 * (i - 2) * (k + 1);
        bodies[i].mass = i == 0 ? 39.5 : 0.01 * (i + 1);
      }
  for (uint64_t i = 0; i < amount; i++)
    advance (bodies, COUNT, 0.001);
  for (int i = 0; i < COUNT; i++)
    for (int k = 0; k < 3; k++)
      hash = bench_mix (hash, bits (bodies[i].x[k]));
  return hash;
}

static NOINLINE void
add_scaled (int count, double factor, const double *from, double *to)
{
  for (int i = 0; i < count; i++)
    to[i] += factor * from[i];
}

/* Elimination with partial pivots, as LINPACK does it. */
static uint64_t
linpack (uint64_t amount)
{
  enum { N = 64 };
  static double a[N][N];
  uint64_t hash = 0;
  uint32_t seed = 11;

  for (uint64_t round = 0; round < amount; round++)
    {
      for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
          a[i][j] = bench_random (&seed) * (1.0 / (1 << 24)) - 0.5;
      for (int k = 0; k < N - 1; k++)
        {
          int pivot = k;

          for (int i = k + 1; i < N; i++)
            if (fabs (a[k][i]) > fabs (a[k][pivot]))
              pivot = i;
          for (int i = k + 1; i < N; i++)
            {
              double factor = a[i][pivot];

              a[i][pivot] = a[i][k];
              factor = -factor / a[k][pivot];
              add_scaled (N - k - 1, factor, &a[k][k + 1], &a[i][k + 1]);
            }
        }
      hash = bench_mix (hash, bits (a[N - 1][N - 1]));
    }
  return hash;
}

/* Modules of the Whetstone kind: array elements, a procedure, standard functions. Rounded, as functions may differ
 * in the last place. */
static uint64_t
whetstone (uint64_t amount)
{
  const double t = 0.499975, t2 = 2.0;
  double e[4] = { 1, -1, -1, -1 }, x = 0.5, y = 0.5, z = 0.75;

  for (uint64_t i = 0; i < amount; i++)
    {
      for (int j = 0; j < 6; j++)
        {
          e[0] = (e[0] + e[1] + e[2] - e[3]) * t;
          e[1] = (e[0] + e[1] - e[2] + e[3]) * t;
          e[2] = (e[0] - e[1] + e[2] + e[3]) * t;
          e[3] = (-e[0] + e[1] + e[2] + e[3]) / t2;
        }
#ifdef __i386__
      /* What the x87 has instructions for; the library prefers its own ways. */
      double s, c, l;

      __asm__ ("fsincos" : "=t"(c), "=u"(s) : "0"(x));
      __asm__ ("fpatan" : "=t"(x) : "0"(c + 1.5), "u"(s) : "st(1)");
      x = t * (x + 0.6);
      __asm__ ("fldln2\n\tfxch\n\tfyl2x" : "=t"(l) : "0"(z + 1.5));
      z = sqrt (l * 0.7 + 0.1);
#else
      x = t * atan2 (sin (x), cos (x) + 1.5) + 0.3;
      z = sqrt (log (z + 1.5) * 0.7 + 0.1);
      y = exp (y * 0.5 - 0.7);
#endif
      y = (x + y) * t;
    }
  return (uint64_t) (int64_t) ((e[0] + e[1] + e[2] + e[3] + x + y + z) * 1e6);
}

/* Conversions, comparisons and rounding between numbers of all kinds. */
static uint64_t
convert (uint64_t amount)
{
  double sum = 0;
  float single = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      int whole = (int) (sum * 0.125);

      sum += (double) (int32_t) i * 0.5 - whole;
      single = (float) sum * 0.25f + single * 0.5f;
      if (single > 1e4f || sum > 1e6)
        {
          sum = -sum * 0.001;
          single = -1;
        }
      sum += (double) single;
    }
  return bits (sum);
}

const BenchRow bench_float[] = {
  { "nbody", nbody }, { "linpack", linpack }, { "whetstone", whetstone }, { "convert", convert }, { NULL, NULL },
};
