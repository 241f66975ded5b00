/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound on the bench: a machine that is no more than an environment, whose time moves by hand (the host's too, as far
 * as sound goes) or by itself. */
#pragma once

#include "audio/audio-private.h"

typedef struct Bench
{
  VmLock *lock;
  bool entered, manual;
  VmMachine *machine;
  char *dir;
  VmAudioCard card;
} Bench;

void bench_init (Bench *bench, bool manual);
void bench_clear (Bench *bench);
VmEnv *bench_env (Bench *bench);
/* "wav,id=a,path=%/x.wav,...": "%" is the bench's folder. NULL: refused. */
VmAudiodev *bench_try (Bench *bench, const char *text, GError **error);
VmAudiodev *bench_add (Bench *bench, const char *text); /* and the card is its */
void bench_refuse (Bench *bench, const char *text, const char *why);
char *bench_path (Bench *bench, const char *name);
void bench_advance (Bench *bench, int64_t ns); /* manual: both times */
void bench_run (Bench *bench, int64_t ns);     /* real time; the loop goes round */
