/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Work for a machine to be timed at: each does AMOUNT rounds and returns a number that depends on all of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOINLINE __attribute__ ((noinline, noclone))

typedef struct
{
  const char *name;
  uint64_t (*work) (uint64_t amount);
} BenchRow;

extern const BenchRow bench_integer[];
extern const BenchRow bench_code[];
extern const BenchRow bench_memory[];
extern const BenchRow bench_float[];
extern const BenchRow bench_system[];
#ifdef __x86_64__
extern const BenchRow bench_simd[];
#endif

/* The same numbers on every machine. */
static inline uint32_t
bench_random (uint32_t *state)
{
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static inline uint64_t
bench_mix (uint64_t hash, uint64_t value)
{
  return (hash ^ value) * 0x9e3779b97f4a7c15u;
}

static inline uint64_t
bench_mix_bytes (uint64_t hash, const void *data, size_t size)
{
  const uint8_t *bytes = data;

  for (size_t i = 0; i < size; i++)
    hash = bench_mix (hash, bytes[i]);
  return hash;
}
