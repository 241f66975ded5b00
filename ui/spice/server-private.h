/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the module share. All of it belongs to the SPICE thread, unless it says otherwise. */
#pragma once

#include "ui/spice/spice-private.h"

#include <spice.h>

typedef struct SpiceHere SpiceHere;
typedef struct SpiceScreen SpiceScreen;
typedef struct SpiceSound SpiceSound;
typedef struct SpiceGate SpiceGate;
typedef struct SpiceJudge SpiceJudge;
typedef struct SpiceTls SpiceTls;

/* A server: the module's half of VmSpice. */
struct SpiceHere
{
  VmSpice *spice;
  SpiceServer *server;
  GPtrArray *screens;  /* SpiceScreen * */
  VmListener consoles; /* hears of those that come and go */
  int consoles_posted; /* atomic */
  bool stopping;
  int warnings;        /* atomic: of the library that were passed on */
  char *first_warning; /* of start(); under MUTEX */
  bool starting;
  GMutex mutex;
  guint log_handler;
  SpiceMigrateInstance migrate;
  bool migrate_ready;
  int migrating;       /* atomic: viewers may speak of it */
  char version[16];    /* of the library */
  GHashTable *sources; /* GSource *: of the library's timers and descriptors */
  unsigned streams;    /* connections, whether or not they have logged in */
  GPtrArray *logins;   /* login.c: those that have not, the oldest first */
  SpiceGate *gate;
  int arriving;      /* the descriptor of the viewer that the library is told of; -1: none */
  SpiceSound *sound; /* NULL: no audiodev is ours */
  /* input.c */
  SpiceKbdInstance keyboard;
  SpiceMouseInstance mouse;
  SpiceTabletInstance tablet;
  bool tablet_there;
  unsigned scan_prefix; /* E0, or E1 and how many bytes came after it */
  unsigned scan_skip;
  uint32_t buttons;
  int tablet_width, tablet_height;
};

/* The server whose thread this is; NULL: another thread. */
SpiceHere *spice_here (void);
/* Makes it so. */
void spice_core_enter (SpiceHere *here);
void spice_core_leave (void);
const SpiceCoreInterface *spice_core (void);

/* events.c */
void spice_channel_event (int event, SpiceChannelEventInfo *info);
void spice_forget_channels (VmSpice *spice);

/* gate.c: the way in. FD is taken when true is returned. */
bool spice_gate_start (SpiceHere *here, GError **error);
void spice_gate_stop (SpiceHere *here);
bool spice_gate_admit (SpiceHere *here, int fd, bool tls, bool skip_auth);
void spice_gate_answer (int fd, int event, void *opaque);
void spice_gate_introduce (SpiceHere *here, SpiceChannelEventInfo *info);

/* judge.c: what a viewer says, on the gate's thread, and what the library answers to a new one; what may go on to the
 * library is appended to OUT; false: the viewer has to go. SEALED: what follows SASL is. */
SpiceJudge *spice_judge_new (const int *migrating, bool sealed);
void spice_judge_free (SpiceJudge *judge);
bool spice_judge_hear (SpiceJudge *judge, const uint8_t *bytes, size_t len, GByteArray *out);
bool spice_judge_answer (SpiceJudge *judge, const uint8_t *bytes, size_t len, GByteArray *out);
/* What the viewer says now is only heard later. */
bool spice_judge_pauses (const SpiceJudge *judge);
/* A display channel stands before the door; it has been let in, and the library's screens have not taken it in yet. */
bool spice_judge_knocks (const SpiceJudge *judge);
bool spice_judge_let_in (SpiceJudge *judge, GByteArray *out);
bool spice_judge_is_new (const SpiceJudge *judge);
/* The library waits for it, and everybody for the library. */
bool spice_judge_waits (const SpiceJudge *judge);
/* What has to be said for one that has gone. */
void spice_judge_end (SpiceJudge *judge, GByteArray *out);

/* gate-tls.c */
struct ssl_ctx_st *spice_tls_server (const SpiceOptions *options, GError **error);
struct ssl_ctx_st *spice_tls_client (const SpiceOptions *options);
SpiceTls *spice_tls_new (struct ssl_ctx_st *context, bool server);
void spice_tls_free (SpiceTls *tls);
/* Appends to OUT what is for the other end; false: it is over. */
bool spice_tls_say (SpiceTls *tls, const uint8_t *bytes, size_t len, GByteArray *out);
bool spice_tls_hear (SpiceTls *tls, const uint8_t *bytes, size_t len, GByteArray *plain, GByteArray *out);

/* login.c: a connection was made; the library waits for FD; it has logged in, or is gone */
void spice_logins_start (SpiceHere *here);
void spice_logins_stop (SpiceHere *here);
void spice_login_began (SpiceHere *here, const SpiceChannelEventInfo *info);
void spice_login_waits (SpiceHere *here, int fd);
void spice_login_ended (SpiceHere *here, const SpiceChannelEventInfo *info);

/* screen.c: a console as a card of the library's */
SpiceScreen *spice_screen_new (SpiceHere *here, VmConsole *console, int id);
void spice_screen_free (SpiceScreen *screen);
VmConsole *spice_screen_console (SpiceScreen *screen);
int spice_screen_id (SpiceScreen *screen);
/* Somebody came, types or points: what comes of it should show soon. */
void spice_screen_hurry (SpiceScreen *screen);
/* Nobody is connected any more: it costs nothing. */
void spice_screen_rest (SpiceScreen *screen);

/* sound.c */
void spice_sound_stop (SpiceHere *here);
const struct VmAudioClass *spice_sound_class (void);

/* input.c */
bool spice_input_start (SpiceHere *here, GError **error);
void spice_input_stop (SpiceHere *here);
void spice_leds_changed (VmSpice *spice);
void spice_pointer_changed (VmSpice *spice);

/* ports.c */
void spice_pipe_added (VmSpice *spice, SpicePipe *pipe);
void spice_pipe_removed (SpicePipe *pipe);
void spice_pipe_changed (SpicePipe *pipe);
