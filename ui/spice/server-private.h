/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the module share. All of it belongs to the SPICE thread, unless it says otherwise. */
#pragma once

#include "ui/spice/spice-private.h"

#include <spice.h>

typedef struct SpiceHere SpiceHere;
typedef struct SpiceScreen SpiceScreen;
typedef struct SpiceSound SpiceSound;

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
  char version[16];    /* of the library */
  GHashTable *sources; /* GSource *: of the library's timers and descriptors */
  unsigned streams;    /* connections, whether or not they have logged in */
  GPtrArray *logins;   /* login.c: those that have not, the oldest first */
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
