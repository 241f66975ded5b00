/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For sound systems whose calls wait: a thread for each stream, which opens the device, moves frames, and tries again
 * when the device has gone. The engine never waits for it, so it may outlive its stream by as long as a call takes. */
#pragma once

#include "audio/audio-private.h"

#include <semaphore.h>

typedef struct VmHostThread VmHostThread;

/* All are called on the thread and may wait; DEVICE is what vm_host_thread_start() was given. */
typedef struct VmHostOps {
  /* FORMAT is what is wanted, then what there is (in host byte order); *CHUNK the frames to move at once. */
  bool (*open) (void *device, VmAudioFormat *format, size_t *chunk, GError **error);
  bool (*move) (void *device, void *bytes, size_t frames); /* plays or records all of them; false: the device has gone */
  int64_t (*delay_ns) (void *device);                      /* what it holds; NULL: nobody knows */
  void (*close) (void *device);                            /* after open() or without */
  void (*free) (void *device);
} VmHostOps;

/* In start() and stop() of a class; its stream's state is a VmHostThread *. */
void vm_host_thread_start (VmAudioStream *stream, const VmHostOps *ops, void *device);
void vm_host_thread_stop (VmAudioStream *stream);

/* For those that call back on a thread of their own: a second ring, between that thread and move(). */
typedef struct VmHostBridge
{
  VmAudioRing *ring;
  sem_t moved;   /* posted with each call back */
  size_t limit;  /* frames that may wait to be played */
  bool gone;     /* atomic: the server said farewell */
} VmHostBridge;

void vm_host_bridge_open (VmHostBridge *bridge, const VmAudioFormat *format, size_t limit);
void vm_host_bridge_close (VmHostBridge *bridge); /* nobody calls back any more; again: nothing */
/* move(); false: the server has gone, or calls no more. */
bool vm_host_bridge_play (VmHostBridge *bridge, const void *bytes, size_t frames);
bool vm_host_bridge_record (VmHostBridge *bridge, void *bytes, size_t frames);
/* In the call back. */
void vm_host_bridge_take (VmHostBridge *bridge, void *bytes, size_t frames);
void vm_host_bridge_give (VmHostBridge *bridge, const void *bytes, size_t frames);
void vm_host_bridge_gone (VmHostBridge *bridge);
