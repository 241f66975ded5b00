/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames over sockets: in a stream, each behind its length; and one in each datagram. */
#pragma once

#include "engine/io/address.h"
#include "net/net.h"

/* FUNC runs on the loop; vm_source_clear() gives it up, and is what FUNC does first. */
GSource *vm_net_soon (VmLoop *loop, GSourceFunc func, void *opaque);

/* --- streams (frames.c) -------------------------------------------------------------------------------------- */

/* A connected stream socket whose bytes are frames, each behind its length in 4 bytes, most significant first. */
typedef struct VmNetFrames
{
  VmNetPort *port;
  VmLoop *loop;
  int fd;                                       /* -1: no connection */
  void (*gone) (void *opaque, const char *why); /* the connection has ended; WHY: the peer sent nonsense; may be NULL */
  void *opaque;
  GSource *readable, *writable, *resume;
  bool held;    /* a frame waits for the card: nothing more is read */
  bool stalled; /* the port was told that there is no room */
  uint8_t *in;  /* FRAMES_IN bytes: from AT to END not looked at yet */
  size_t at, end;
  uint8_t *out; /* the rest of a frame that went out in part */
  size_t out_at, out_n, out_size;
} VmNetFrames;

/* Adds the port to NETDEV. */
void vm_net_frames_init (VmNetFrames *f, VmNetdev *netdev, void (*gone) (void *opaque, const char *why), void *opaque);
void vm_net_frames_begin (VmNetFrames *f, int fd); /* takes FD */
void vm_net_frames_end (VmNetFrames *f);           /* without gone(); may be called twice */

/* --- datagrams (datagrams.c) ----------------------------------------------------------------------------------- */

/* What stands in front of a frame in a datagram. */
typedef struct VmNetWrapping
{
  size_t size;                                                          /* bytes of it, going out */
  void (*put) (void *opaque, uint8_t *head);                            /* fills SIZE bytes */
  ssize_t (*check) (void *opaque, const uint8_t *datagram, size_t len); /* where the frame starts; -1: not for us */
} VmNetWrapping;
#define VM_NET_WRAPPING_MAX 300

typedef struct VmNetDatagrams
{
  VmNetPort *port;
  VmLoop *loop;
  int in, out;                   /* may be the same; -1: not open */
  VmSockaddr remote;             /* len 0: OUT is connected */
  VmSockaddr own;                /* what comes from there we have sent: len 0: nothing does */
  const VmNetWrapping *wrapping; /* NULL: none */
  void *opaque;                  /* of the wrapping */
  GSource *readable, *writable, *resume;
  int probe;                      /* a socket that shows when REMOTE has room; -1: none */
  bool held;                      /* a frame waits for the card: nothing more is read */
  struct VmNetDatagramRoom *room; /* for those that come in */
} VmNetDatagrams;

/* Adds the port to NETDEV. */
void vm_net_datagrams_init (VmNetDatagrams *d, VmNetdev *netdev);
/* Takes the descriptors. REMOTE, OWN: NULL for none. */
void vm_net_datagrams_begin (VmNetDatagrams *d, int in, int out, const VmSockaddr *remote, const VmSockaddr *own);
void vm_net_datagrams_end (VmNetDatagrams *d); /* may be called twice */
