/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this folder share. All of it belongs to the VNC thread, unless it says otherwise. */
#pragma once

#include "audio/audio.h"
#include "engine/display/display.h"
#include "engine/input/input.h"
#include "engine/io/address.h"
#include "engine/input/layout.h"
#include "ui/vnc/encode.h"
#include "ui/vnc/jobs.h"
#include "ui/vnc/vnc.h"
#include "ui/vnc/wire.h"

#include <json-c/json.h>

typedef struct VncServer VncServer;
typedef struct VncClient VncClient;
typedef struct VncScreen VncScreen;

struct VmVnc
{
  VmMachine *machine;
  VmLoop *loop; /* NULL: no server yet */
  GThread *thread;
  GPtrArray *servers; /* VncServer * */
  GPtrArray *screens; /* VncScreen * */
  unsigned n_clients; /* of all servers, those that are going included */
  int64_t last_number; /* of a client */
  bool stopping;
  VmFiberMutex sasl_mutex;
  const VncSaslModule *sasl; /* NULL: no server wants it */
  /* Compressing: fewer threads than processors, so that the guest keeps some. */
  VncJobs *jobs;
  VncJpegs *jpegs;
};

/* --- screens: a console as its viewers have last seen it --------------------------------------------------- */

#define VNC_CELL 16 /* pixels a side: what changed is known by cells, and within them by boxes */

/* Part of a cell; ends are behind the last pixel. */
typedef struct VncBox
{
  uint8_t left, top, right, bottom;
} VncBox;

#define VNC_BOX_ALL ((VncBox){ 0, 0, VNC_CELL, VNC_CELL })

static inline VncBox
vnc_join_boxes (VncBox a, VncBox b)
{
  return (VncBox){ MIN (a.left, b.left), MIN (a.top, b.top), MAX (a.right, b.right), MAX (a.bottom, b.bottom) };
}

/* Part of a picture that was elsewhere before. */
typedef struct VncMove
{
  VmRect to;
  int dx, dy; /* from there: from.x = to.x + dx */
} VncMove;

struct VncScreen
{
  VmVnc *vnc;
  VmConsole *console; /* a reference; NULL: there is none to show */
  VmListener listener;
  GPtrArray *clients; /* VncClient * */
  int posted;         /* atomic: a message of the console is on its way to us */
  bool telling;       /* that message is being read */
  int damaged;        /* atomic: there may be something new */
  int awaited;        /* atomic: a viewer waits for that */
  int width, height;
  unsigned columns, rows; /* of cells */
  uint32_t *now;          /* what the cells' serials speak of; rows are WIDTH apart */
  uint32_t *next;         /* while moves are looked for what the console has; else NOW, but for stale cells */
  uint64_t serial;
  uint64_t *serials, *before;     /* of cells: when they changed, and when before that */
  VncBox *boxes;                  /* of cells: what of them changed last */
  uint32_t *across, *down;        /* while differences are looked for, a cell's worth for each column */
  uint8_t *heat;                  /* of cells: how often lately */
  uint8_t *moved;                 /* of cells: in the last update, the move explains them */
  uint8_t *marks;                 /* of cells: while moves are looked for, they show what was as far away as that */
  uint8_t *stale;                 /* of cells: NEXT has something older */
  GArray *moves;                  /* VncMove of the last update */
  unsigned move_pause, move_wait; /* updates to come in which nobody looks for moves */
  int move_dx, move_dy;           /* the last that was found */
  VmRect move_box;                /* and what had changed with it */
  int64_t changed_at, cooled_at;  /* monotonic */
  unsigned interval_ms;
  GSource *pace;
  /* the pointer of the guest */
  VmCursor *cursor;
  int cursor_x, cursor_y;
  bool cursor_visible;
  uint64_t cursor_serial, cursor_moves;
};

/* The screen of console INDEX, which is made when nobody looks at it yet. */
VncScreen *vnc_screen_join (VmVnc *vnc, VmConsole *console, VncClient *client);
void vnc_screen_leave (VncScreen *screen, VncClient *client);
/* Takes what the console has by now. */
void vnc_screen_update (VncScreen *screen);
/* Somebody typed: what comes of it should show soon. */
void vnc_screen_hurry (VncScreen *screen);
/* Looks for what moved from NOW to NEXT within BOX; fills moved and moves. MARKED: MARKS know of the last move. */
void vnc_screen_find_moves (VncScreen *screen, VmRect box, bool marked);
/* Marks the cells of ROW, between these pixels, that moved as the last ones did. */
void vnc_screen_mark_moved (VncScreen *screen, int row, int from, int end);
static inline VmRect
vnc_screen_cell (const VncScreen *s, unsigned cell)
{
  int x = (int) (cell % s->columns) * VNC_CELL, y = (int) (cell / s->columns) * VNC_CELL;

  return (VmRect){ x, y, MIN (VNC_CELL, s->width - x), MIN (VNC_CELL, s->height - y) };
}

typedef uint32_t VncFour __attribute__ ((vector_size (16))); /* pixels */

static inline VncFour
vnc_load_four (const uint32_t *at)
{
  VncFour four;

  memcpy (&four, at, sizeof four);
  return four;
}

static inline bool
vnc_is_any (VncFour bits)
{
  typedef uint64_t Two __attribute__ ((vector_size (16)));

  return ((Two) bits)[0] | ((Two) bits)[1];
}

/* --- servers ------------------------------------------------------------------------------------------------ */

typedef enum VncAuth
{ /* numbers of the protocol */
  VNC_AUTH_INVALID = 0,
  VNC_AUTH_NONE = 1,
  VNC_AUTH_VNC = 2,
  VNC_AUTH_VENCRYPT = 19,
  VNC_AUTH_SASL = 20,
} VncAuth;

typedef enum VncShare
{
  VNC_SHARE_ALLOW_EXCLUSIVE,
  VNC_SHARE_FORCE_SHARED,
  VNC_SHARE_IGNORE
} VncShare;

typedef struct VncOptions
{
  char *id;
  VmAddress address, websocket; /* port NULL and not Unix: not wanted */
  bool none, has_websocket, reverse;
  bool password;     /* VncAuth */
  char *secret;      /* what password-secret= holds; NULL: none */
  VmTlsCreds *creds; /* a reference; NULL: in the clear */
  char *tls_authz, *sasl_authz;
  bool sasl, lossy, adaptive, power_control, lock_key_sync;
  VncShare share;
  unsigned key_delay_ms, connections;
  VmAudiodev *audiodev; /* whose sound viewers may hear; NULL: none */
  char *display; /* device id; NULL: not bound */
  unsigned head;
} VncOptions;

bool vnc_options_read (VncOptions *options, VmMachine *machine, const VmKeyVals *list, GError **error);
void vnc_options_clear (VncOptions *options);
/* "host:display" or "unix:path", as -vnc and display-update have it. */
bool vnc_options_address (VmAddress *address, const char *text, unsigned base, GError **error);

typedef struct VncListener
{
  VncServer *server;
  int fd;
  GSource *watch;
  bool websocket;
  char *path; /* to be removed; NULL: none */
} VncListener;

struct VncServer
{
  VmVnc *vnc;
  VncOptions options;
  VmLayout *keyboard;
  GPtrArray *listeners; /* VncListener * */
  GPtrArray *clients;   /* VncClient * */
  char *password;       /* NULL: nobody is let in by one */
  int64_t expires;      /* seconds since 1970 */
  VmConsole *console;   /* bound to; a reference; NULL: not bound */
  /* keys on their way, so that they are apart by key_delay_ms */
  GQueue keys; /* VmInputEvent * */
  GSource *key_timer;
  int64_t key_free_at; /* monotonic, us */
  bool ended;          /* goes with its last client */
};

VncServer *vnc_find_server (VmVnc *vnc, const char *id); /* NULL: the first */
VncAuth vnc_server_auth (const VncServer *server);
char *vnc_server_auth_name (const VncServer *server); /* "vencrypt+x509+vnc" */
void vnc_server_client_gone (VncServer *server);
void vnc_server_free (VncServer *server);
void vnc_server_set_password (VncServer *server, const char *password); /* NULL: none */
void vnc_listener_free (gpointer listener);
bool vnc_server_listen_at (VncServer *server, const VmAddress *address, bool websocket, GError **error);
/* A socket's own name or its peer's, as QMP has it. */
void vnc_name_end (int fd, bool peer, char **host, char **service, char **family);
/* Opens the sockets of ADDRESS and WEBSOCKET; the caller holds what was there before. */
bool vnc_server_listen (VncServer *server, GError **error);
void vnc_server_stop_listening (VncServer *server);
void vnc_server_key (VncServer *server, uint16_t key, bool down);
/* Room for one more? Else whoever has not logged in for longest goes. */
bool vnc_server_make_room (VncServer *server);

/* --- clients ------------------------------------------------------------------------------------------------ */

typedef enum VncFeature
{
  VNC_HAS_COPY_RECT = 1 << 0,
  VNC_HAS_DESKTOP_SIZE = 1 << 1,
  VNC_HAS_EXTENDED_SIZE = 1 << 2,
  VNC_HAS_CURSOR = 1 << 3,
  VNC_HAS_ALPHA_CURSOR = 1 << 4,
  VNC_HAS_POINTER_MODE = 1 << 5,
  VNC_HAS_KEY_CODES = 1 << 6,
  VNC_HAS_LEDS = 1 << 7,
  VNC_HAS_MORE_BUTTONS = 1 << 8,
  VNC_HAS_CLIPBOARD = 1 << 9,
  VNC_HAS_POWER = 1 << 10,
  VNC_HAS_NAME = 1 << 11,
  VNC_HAS_LAST_RECT = 1 << 12,
  VNC_HAS_SOUND = 1 << 13,
} VncFeature;

/* What a client is yet to be told, with the next update. */
typedef enum VncNews
{
  VNC_NEWS_SIZE = 1 << 0,
  VNC_NEWS_CURSOR = 1 << 1,
  VNC_NEWS_POINTER_MODE = 1 << 2,
  VNC_NEWS_KEY_CODES = 1 << 3,
  VNC_NEWS_LEDS = 1 << 4,
  VNC_NEWS_MORE_BUTTONS = 1 << 5,
  VNC_NEWS_NAME = 1 << 6,
  VNC_NEWS_SOUND = 1 << 7,
} VncNews;

enum
{ /* of a client's cells */
  VNC_CELL_DIRTY = 1,
  VNC_CELL_LOSSY = 2, /* what the client has is not exact */
  VNC_CELL_EXACT = 4, /* dirty to be made so */
};

/* An answer to SetDesktopSize that is still to be given. */
typedef struct VncSizeAnswer
{
  uint16_t reason, status, width, height;
} VncSizeAnswer;

typedef struct VncPiece
{
  VmRect cells, rect; /* the cells that are its, and what of them is sent */
  bool lossy;
  size_t at; /* of its pixels */
} VncPiece;

struct VncClient
{
  VncServer *server;
  VncWire wire;
  VmWakeup *deadline; /* of the handshake */
  bool websocket, skip_auth;
  int64_t number; /* unlike that of any other */
  int64_t since;  /* monotonic */
  char *host, *service, *family, *server_host, *server_service, *server_family;
  /* who it is */
  unsigned minor; /* of protocol version 3 */
  char *dname;    /* of its certificate; NULL: none */
  VncSasl *sasl;
  char *user; /* by SASL; NULL: none */
  bool logged_in, initialized, shared, closing;
  /* what it can and wants */
  VncEncoder encoder; /* an encoder thread's while BUSY */
  VncFormat format;   /* wanted from the next update on */
  int encoding, level, quality, subsampling;
  bool encoding_changed;
  unsigned features;    /* VncFeature */
  unsigned news;        /* VncNews */
  GArray *size_answers; /* VncSizeAnswer */
  /* its picture */
  VncScreen *screen;
  unsigned width, height;
  uint64_t serial;       /* of the screen: taken into CELLS */
  uint8_t *cells;        /* as many as the screen has */
  VncBox *boxes;         /* of those that are dirty: what of them is */
  bool asked, requested; /* ASKED: ever */
  VmRect area;           /* of the request */
  bool whole;            /* it is not incremental */
  unsigned next_row;     /* of cells: where the next update begins to look */
  uint64_t cursor_serial, cursor_moves;
  bool cursor_sent;    /* it has one of ours */
  VmRect drawn_cursor; /* in the picture, for a client that draws none */
  GSource *refresh;    /* of lossy cells */
  /* the update under way */
  bool busy, updating;
  int64_t sent_at;      /* monotonic, us: when the last one was made */
  unsigned sent_pixels; /* of it; 0: it has gone */
  unsigned pixels_max;  /* of one that answers an incremental request */
  VncJob job;
  GArray *pieces; /* VncPiece */
  guint next_piece;
  uint32_t *pixels;
  size_t pixels_room;
  uint64_t pixels_serial; /* of the screen; 0: of another one */
  GByteArray *update;
  unsigned n_rects;
  guint own_bytes; /* of UPDATE: before pictures */
  unsigned own_rects;
  GPtrArray *followers; /* VncClient *: they wait for the same pictures */
  /* its hands */
  bool down[256]; /* by XT number: keys it holds */
  unsigned modifiers;
  uint16_t buttons;
  int last_x, last_y;
  bool has_last;
  uint32_t leds_told;
  bool absolute_told;
  struct VncClipboard *clipboard;
  struct VncSound *sound; /* NULL: the server has none */
};

/* Takes the descriptor. WEBSOCKET: HTTP comes first. */
VncClient *vnc_client_new (VncServer *server, int fd, bool websocket);
void vnc_client_start (VncClient *client);
void vnc_client_heard (VncClient *client); /* it speaks the protocol: it gets time to log in */
void vnc_client_close (VncClient *client);
/* The security handshake, in the client's fiber. */
bool vnc_client_log_in (VncClient *client);
/* Messages until the end. */
void vnc_client_serve (VncClient *client);
/* Sends an update if there is reason to and the client is ready for one. */
void vnc_client_update (VncClient *client);
void vnc_client_drained (VncClient *client); /* what it was sent is on its way */
void vnc_client_show (VncClient *client, VmConsole *console);
/* The screen has another size, or is another. */
void vnc_client_resized (VncClient *client);
void vnc_client_dirty (VncClient *client, VmRect area);
/* To be done once: what it compresses with. */
void vnc_client_init_update (VncClient *client);
void vnc_client_event (VncClient *client, const char *name); /* QMP */
void vnc_client_take_encodings (VncClient *client, const uint8_t *list, unsigned n);
void vnc_client_power (VncClient *client, unsigned code);
void vnc_client_clear_keys (VncClient *client);

/* clipboard.c */
void vnc_clipboard_join (VncClient *client);
void vnc_clipboard_leave (VncClient *client);
void vnc_clipboard_features (VncClient *client);
void vnc_clipboard_text (VncClient *client, const uint8_t *text, size_t len);
/* False: makes no sense. */
bool vnc_clipboard_extended (VncClient *client, const uint8_t *message, size_t len);

/* sound.c */
void vnc_sound_join (VncClient *client);
void vnc_sound_leave (VncClient *client);
/* The rest of a message, in the client's fiber. False: the end, or it makes no sense. */
bool vnc_sound_message (VncClient *client);

/* input.c */
void vnc_client_key (VncClient *client, bool down, uint32_t keysym, unsigned xt, bool has_xt);
void vnc_client_pointer (VncClient *client, unsigned buttons, int x, int y);

/* --- questions to the engine ------------------------------------------------------------------------------ */

/* Does the authorization object ID allow NAME? Waits for the engine loop, in the client's fiber. */
bool vnc_client_is_allowed (VncClient *client, const char *id, const char *name);
/* Nobody may have looked at CONSOLE for long: brings its picture up to date. Waits likewise. */
void vnc_client_refresh (VncClient *client, VmConsole *console);
