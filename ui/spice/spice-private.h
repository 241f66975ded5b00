/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the program's part of SPICE and the module share. */
#pragma once

#include "engine/char/char.h"
#include "engine/display/display.h"
#include "engine/input/input.h"
#include "ui/spice/spice.h"

#define SPICE_MODULE "vitrine-spice"
#define SPICE_MODULE_SYMBOL "vm_spice_module"

typedef struct SpiceServerModule SpiceServerModule;
typedef struct SpicePipe SpicePipe;

/* The numbers of these are the library's, as its headers have them. */
typedef struct SpiceOptions
{
  int port, tls_port; /* 0: none */
  char *addr;         /* NULL: any of this host's; with PATH the file of a Unix socket */
  bool path, ipv4, ipv6;
  char *secret; /* what password-secret= holds; NULL: none */
  bool sasl, disable_ticketing, disable_copy_paste, disable_agent_file_xfer;
  char *key, *key_password, *cert, *cacert, *dh_key, *ciphers;
  const VmKeyVals *list; /* for tls-channel= and plaintext-channel= */
  int image_compression, jpeg, zlib_glz, streaming;
  bool agent_mouse, playback_compression, seamless_migration;
  char *video_codecs;
  unsigned interval_ms; /* between two looks at a screen that changes */
  char *display;        /* device id; NULL: all consoles */
  unsigned head;
} SpiceOptions;

bool spice_options_read (SpiceOptions *options, VmMachine *machine, const VmKeyVals *list, GError **error);
void spice_options_clear (SpiceOptions *options);
const char *spice_options_auth (const SpiceOptions *options);

/* A channel that is open. */
typedef struct SpiceChannelInfo
{
  char *host, *port, *family;
  int connection, type, id;
  bool tls;
} SpiceChannelInfo;

struct VmSpice
{
  VmMachine *machine;
  VmKeyVals *list; /* what was said */
  SpiceOptions options;
  const SpiceServerModule *module; /* NULL: no server */
  VmLoop *loop;                    /* NULL: no server */
  GThread *thread;
  GPtrArray *pipes; /* SpicePipe *: machine lock */
  /* the ticket; machine lock */
  char *password;        /* NULL: none was set */
  int64_t expires;       /* seconds since 1970; INT64_MAX: never */
  bool fail, disconnect; /* when somebody is connected while it is set */
  /* The SPICE thread's. */
  void *server;        /* the module's */
  GPtrArray *channels; /* SpiceChannelInfo * */
  bool migrated;
  bool migrating;   /* machine lock */
  char *app_socket; /* of -display spice-app: removed at the end */
};

/* --- the module: all of it on the SPICE thread ---------------------------------------------------------------- */

struct SpiceServerModule
{
  const struct VmAudioClass *(*sound) (void); /* of audiodevs; called on the engine loop, as what is in it */
  bool (*start) (VmSpice *spice, GError **error);
  void (*stop) (VmSpice *spice);
  void (*pipe_added) (VmSpice *spice, SpicePipe *pipe);
  void (*pipe_removed) (SpicePipe *pipe);
  /* What the guest has written, whether it listens, or how much room there is has changed. */
  void (*pipe_changed) (SpicePipe *pipe);
  /* PASSWORD NULL: nobody is let in. SECONDS 0: for ever. */
  bool (*set_ticket) (VmSpice *spice, const char *password, int seconds, bool fail, bool disconnect);
  bool (*add_client) (VmSpice *spice, int fd, bool skip_auth, bool tls);
  bool (*is_server_mouse) (VmSpice *spice);
  const char *(*version) (VmSpice *spice);
  void (*leds_changed) (VmSpice *spice);
  void (*pointer_changed) (VmSpice *spice);
  bool (*migrate_to) (VmSpice *spice, const char *host, int port, int tls_port, const char *subject);
  void (*migrate_start) (VmSpice *spice);
  void (*migrate_end) (VmSpice *spice, bool done);
};

/* --- pipes: a back end's bytes between the engine and the SPICE thread ------------------------------------------ */

struct SpicePipe
{
  VmSpice *spice;
  int refs;
  char *subtype, *portname; /* "vdagent", or "port" and its name; PORTNAME NULL: no port */
  VmChardev *chr;           /* machine lock; NULL: gone */
  bool deliver_posted, change_posted;
  GMutex mutex; /* what follows */
  GByteArray *to_guest, *to_client;
  bool listening;    /* the guest does */
  bool guest_short;  /* the guest was told that no more fits */
  bool client_short; /* the library was */
  void *instance;    /* the module's; SPICE thread */
};

/* The module's ends of it. */
size_t spice_pipe_read (SpicePipe *pipe, uint8_t *buf, size_t len);
size_t spice_pipe_write (SpicePipe *pipe, const uint8_t *buf, size_t len);
void spice_pipe_set_connected (SpicePipe *pipe, bool connected);
void spice_pipe_break (SpicePipe *pipe);
bool spice_pipe_listening (SpicePipe *pipe);

/* Starts a server of this module, with the options that have been read. */
bool spice_serve (VmSpice *spice, const SpiceServerModule *module, GError **error);

/* The program's. */
bool spice_pipe_new (VmMachine *machine, VmChardev *chr, bool port, const char *name, GError **error);
void spice_pipes_open (VmSpice *spice);  /* a server is there; its thread */
void spice_pipes_close (VmSpice *spice); /* it goes; its thread */

/* The ticket as it is now. Machine lock held, or before others know of SPICE. */
bool spice_apply_ticket (VmSpice *spice);
