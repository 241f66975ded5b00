/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ways through code: calls, returns, indirect jumps, and code that is written while it runs. */
#include "tests/bench/guest/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static NOINLINE unsigned
fibonacci (unsigned n)
{
  return n < 2 ? n : fibonacci (n - 1) + fibonacci (n - 2);
}

static uint64_t
recursion (uint64_t amount)
{
  uint64_t sum = 0;

  for (uint64_t i = 0; i < amount; i++)
    sum += fibonacci (20 + i % 2);
  return sum;
}

static NOINLINE uintptr_t
leaf (uintptr_t x)
{
  __asm__ volatile ("");
  return x + 3;
}

static NOINLINE uintptr_t
twig (uintptr_t x)
{
  uintptr_t y = leaf (x);

  return leaf (y ^ x) + y;
}

static uint64_t
call (uint64_t amount)
{
  uintptr_t x = 1;

  for (uint64_t i = 0; i < amount; i++)
    x = twig (x) + leaf ((uintptr_t) i);
  return x;
}

static NOINLINE uintptr_t add_3 (uintptr_t x) { return x + 3; }
static NOINLINE uintptr_t times_5 (uintptr_t x) { return x * 5; }
static NOINLINE uintptr_t xor_9 (uintptr_t x) { return x ^ 9; }
static NOINLINE uintptr_t shift_1 (uintptr_t x) { return x >> 1; }

/* A call through a table, as methods of objects are. */
static uint64_t
virtual_call (uint64_t amount)
{
  static uintptr_t (*const volatile table[]) (uintptr_t) = { add_3,   times_5, xor_9, shift_1,
                                                             times_5, xor_9,   add_3, times_5 };
  uintptr_t x = 1;

  for (uint64_t i = 0; i < amount; i++)
    x = table[(i ^ x >> 5) & 7](x);
  return x;
}

/* A byte code that counts primes, run by computed jumps: what interpreters of languages do. */
static uint64_t
interpreter (uint64_t amount)
{
  enum { SET, ADD, ADDI, LESS, JUMP_IF, JUMP, LOAD, STORE, MOVE, END };
  static const uint8_t program[][4] = {
    [0] = { SET, 0, 2 },        /* i = 2 */
    [1] = { LESS, 3, 0, 7 },    /* while i < size */
    [2] = { JUMP_IF, 3, 4 },
    [3] = { END },
    [4] = { LOAD, 4, 0 },       /*   if no mark at i */
    [5] = { JUMP_IF, 4, 13 },
    [6] = { ADDI, 5, 1 },       /*     count++ */
    [7] = { MOVE, 1, 0 },       /*     j = i */
    [8] = { ADD, 1, 0 },        /*     while (j += i) < size */
    [9] = { LESS, 3, 1, 7 },
    [10] = { JUMP_IF, 3, 12 },
    [11] = { JUMP, 13 },
    [12] = { STORE, 1, 6, 8 },  /*       mark j */
    [13] = { ADDI, 0, 1 },      /*   i++ */
    [14] = { JUMP, 1 },
  };
  static const void *const labels[] = { &&set, &&add, &&addi, &&less, &&jump_if, &&jump, &&load, &&store, &&move, &&end };
  static uint8_t marks[2048];
  uint64_t count = 0;

  for (uint64_t round = 0; round < amount; round++)
    {
      uint32_t r[8] = { [6] = 1, [7] = sizeof marks };
      const uint8_t *pc = program[0];

      memset (marks, 0, sizeof marks);
#define NEXT goto *labels[*(pc += 4)]
#define GO(to) goto *labels[*(pc = program[to])]
      goto *labels[*pc];
    set:
      r[pc[1]] = pc[2];
      NEXT;
    add:
      r[pc[1]] += r[pc[2]];
      NEXT;
    addi:
      r[pc[1]] += pc[2];
      NEXT;
    less:
      r[pc[1]] = r[pc[2]] < r[pc[3]];
      NEXT;
    jump_if:
      if (r[pc[1]])
        GO (pc[2]);
      NEXT;
    jump:
      GO (pc[1]);
    load:
      r[pc[1]] = marks[r[pc[2]]];
      NEXT;
    store:
      marks[r[pc[1]]] = r[pc[2]];
      if (pc[3])
        GO (pc[3]);
      NEXT;
    move:
      r[pc[1]] = r[pc[2]];
      NEXT;
    end:
      count = bench_mix (count, r[5]);
    }
  return count;
}

/* A tree of branches no predictor likes. */
static uint64_t
branches (uint64_t amount)
{
  uint32_t seed = 1;
  uint64_t hash = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      uint32_t x = bench_random (&seed);

      if (x & 0x10)
        hash += x;
      else if (x & 0x200)
        hash ^= x << 1;
      else if (x & 0x4000)
        hash -= 7;
      switch (x >> 8 & 15)
        {
        case 0: hash += 1; break;
        case 1: hash ^= 9; break;
        case 2: hash -= x; break;
        case 5: hash *= 3; break;
        case 6: hash += x >> 3; break;
        case 7: hash ^= hash >> 3; break;
        case 11: hash += 77; break;
        case 14: hash = ~hash; break;
        default: hash += 5;
        }
    }
  return hash;
}

static uint8_t *
code_pages (size_t size)
{
  uint8_t *pages = mmap (NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (pages == MAP_FAILED)
    exit (1);
  return pages;
}

/* mov $VALUE, %eax; (imul $3, %eax, %eax; add $1, %eax) x 4; ret */
static size_t
write_function (uint8_t *at, uint32_t value)
{
  uint8_t *start = at;

  *at++ = 0xb8;
  memcpy (at, &value, 4);
  at += 4;
  for (int i = 0; i < 4; i++)
    {
      static const uint8_t step[] = { 0x6b, 0xc0, 0x03, 0x83, 0xc0, 0x01 };

      memcpy (at, step, sizeof step);
      at += sizeof step;
    }
  *at++ = 0xc3;
  return at - start;
}

static uint32_t
call_code (const uint8_t *code)
{
  uint32_t (*function) (void);

  memcpy (&function, &(const void *){ code }, sizeof function);
  return function ();
}

/* New functions one behind the other, each run a few times; then over the old ones. */
static uint64_t
jit (uint64_t amount)
{
  enum { SIZE = 65536 };
  uint8_t *code = code_pages (SIZE);
  uint64_t hash = 0;
  size_t at = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      size_t size = write_function (code + at, (uint32_t) i);

      for (int j = 0; j < 30; j++)
        hash += call_code (code + at);
      at += (size + 15) & ~15u;
      if (at > SIZE - 64)
        at = 0;
    }
  munmap (code, SIZE);
  return hash;
}

/* The constant of one instruction changes before every run. */
static uint64_t
patch (uint64_t amount)
{
  uint8_t *code = code_pages (4096);
  uint64_t hash = 0;

  write_function (code, 0);
  for (uint64_t i = 0; i < amount; i++)
    {
      uint32_t value = (uint32_t) i;

      memcpy (code + 1, &value, 4);
      hash += call_code (code);
    }
  munmap (code, 4096);
  return hash;
}

/* Data beside running code, on its page but not in its lines. */
static uint64_t
mixed_page (uint64_t amount)
{
  uint8_t *code = code_pages (4096);
  volatile uint32_t *data = (uint32_t *) (void *) (code + 2048);
  uint64_t hash = 0;

  write_function (code, 5);
  for (uint64_t i = 0; i < amount; i++)
    {
      data[i & 255] += call_code (code);
      hash += data[(i + 77) & 255];
    }
  munmap (code, 4096);
  return hash;
}

const BenchRow bench_code[] = {
  { "recursion", recursion }, { "call", call }, { "virtual-call", virtual_call }, { "interpreter", interpreter },
  { "branches", branches },   { "jit", jit },   { "patch", patch },               { "mixed-page", mixed_page },
  { NULL, NULL },
};
