/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back ends on the bench: a loop, their network, and somebody in the place of a card. */
#pragma once

#include "net/net.h"

typedef struct Bench
{
  VmLock *lock;
  bool entered;
  struct VmMachine *machine; /* no more than an environment */
  char *dir;                 /* for sockets */
} Bench;

/* What stands where a card does. */
typedef struct Guest
{
  VmNetPort port;
  GPtrArray *got; /* GBytes * */
  unsigned room;  /* frames it takes yet */
  unsigned sent;  /* frames that were kept and have gone */
} Guest;

void bench_init (Bench *bench);
void bench_clear (Bench *bench);
/* "type=stream,id=n,..."; "%" is the bench's folder. NULL: refused. */
VmNetdev *bench_try (Bench *bench, const char *text, GError **error);
VmNetdev *bench_add (Bench *bench, const char *format, ...) G_GNUC_PRINTF (2, 3);
void bench_refuse (Bench *bench, const char *text, const char *why);
void bench_drop (Bench *bench, VmNetdev *netdev);
char *bench_path (Bench *bench, const char *name);
/* Runs what is ready; then waits a little for more. */
void bench_turn (Bench *bench);
/* Turns the loop until EXPRESSION holds; fails after some seconds. */
#define bench_until(bench, expression)                                                                                 \
  do                                                                                                                   \
    {                                                                                                                  \
      gint64 end_ = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;                                                     \
      while (!(expression) && g_get_monotonic_time () < end_)                                                          \
        bench_turn (bench);                                                                                            \
      g_assert_true (expression);                                                                                      \
    }                                                                                                                  \
  while (0)

void guest_init (Guest *guest, VmNetdev *netdev);
void guest_clear (Guest *guest);
bool guest_send (Guest *guest, const void *frame, size_t len); /* in two pieces; false: kept where it is */
void guest_ready (Guest *guest, unsigned room);
