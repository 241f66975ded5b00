/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the back ends and the core of engine/char share. */
#pragma once

#include "engine/char/char.h"

/* What the core keeps for a back end that takes no more at the moment. */
#define VM_CHAR_QUEUE_MAX (16 * 1024)

/* The klass of a back end type. All but open may be NULL. */
typedef struct VmChardevClass {
  const char *backend; /* "socket"; NULL: not for users */
  bool   (*open) (VmChardev *chr, const VmCharOptions *options, GError **error);
  void   (*close) (VmChardev *chr); /* after a failed open too */
  /* Takes what it can at once; when that is not all, vm_chardev_writable() follows. */
  size_t (*write) (VmChardev *chr, const uint8_t *buf, size_t len);
  void   (*accept_input) (VmChardev *chr); /* the front end may take more; from any thread that has the lock */
  bool   (*pending) (VmChardev *chr);      /* vm_chardev_wait() still has to wait */
  void   (*frontend) (VmChardev *chr, bool attached);
  void   (*listen) (VmChardev *chr, bool on); /* whether there is a front end, and its guest listens */
  int    (*take_fd) (VmChardev *chr);
  bool   (*passes_fds) (VmChardev *chr, int *fd); /* FD: of the connection; -1: none now */
  void   (*yank) (VmChardev *chr);
  bool   (*add_client) (VmChardev *chr, int fd, GError **error);
  bool   (*set_line) (VmChardev *chr, const VmCharLine *line);
  bool   (*set_break) (VmChardev *chr, bool on);
  bool   (*get_modem) (VmChardev *chr, unsigned *lines);
  bool   (*set_modem) (VmChardev *chr, unsigned lines);
  bool   (*parport) (VmChardev *chr, VmCharParport op, uint8_t *value);
} VmChardevClass;

struct VmChardev {
  VmObject          parent;
  VmCharEnv        *env;
  VmCharFe         *fe;       /* of a multiplexer: NULL, it keeps them itself */
  GByteArray       *queue;    /* written by the front end, not yet taken by the back end */
  char             *filename;
  int               log_fd;   /* logfile=, else -1 */
  bool              open;     /* somebody is at the other end */
  bool              closed;   /* close has run */
  bool              announcing;
  GError           *failed;   /* why the first connection did not come about */
  const VmCharSink *sink;
  void             *sink_opaque;
};

static inline const VmChardevClass *
vm_chardev_class (const VmChardev *chr)
{
  return chr->parent.type->klass;
}

extern const VmType vm_chardev_agent_type, vm_chardev_braille_type, vm_chardev_dbus_type, vm_chardev_file_type, vm_chardev_memory_type, vm_chardev_msmouse_type, vm_chardev_mux_type,
  vm_chardev_null_type, vm_chardev_parallel_type, vm_chardev_parport_type, vm_chardev_pipe_type, vm_chardev_pty_type,
  vm_chardev_ringbuf_type, vm_chardev_serial_type, vm_chardev_sink_type, vm_chardev_socket_type, vm_chardev_spiceport_type, vm_chardev_spicevmc_type,
  vm_chardev_stdio_type, vm_chardev_testdev_type, vm_chardev_tty_type, vm_chardev_udp_type, vm_chardev_vc_type,
  vm_chardev_wctablet_type;

void   vm_chardev_set_filename (VmChardev *chr, const char *format, ...) G_GNUC_PRINTF (2, 3);
void   vm_chardev_event (VmChardev *chr, VmCharEvent event); /* OPENED and CLOSED set chr->open */
size_t vm_chardev_write (VmChardev *chr, const void *buf, size_t len);
/* Runs close unless it has run: a back end's finalize begins with it when it frees what close needs. */
void   vm_chardev_ensure_closed (VmChardev *chr);
/* Tells front ends that have just attached how things are, from the loop. */
void   vm_chardev_announce (VmChardev *chr);

/* The multiplexer's side of attaching. */
bool   vm_char_mux_attach (VmChardev *chr, VmCharFe *fe); /* false: all places are taken */
void   vm_char_mux_detach (VmChardev *chr, VmCharFe *fe);
void   vm_char_mux_focus (VmChardev *chr, VmCharFe *fe);
bool   vm_char_mux_frontend_open (VmChardev *chr);
void   vm_char_mux_announce (VmChardev *chr);
VmChardev *vm_char_mux_base (VmChardev *chr);
VmChardev *vm_char_mux_over (VmChardev *base); /* the multiplexer that has BASE, or NULL */
bool   vm_char_mux_open (VmChardev *chr, VmChardev *base, GError **error);

/* --- descriptors ------------------------------------------------------------------------------- */

/* Input and output through descriptors that never block. */
typedef struct VmCharStream {
  VmChardev *chr;
  int        in, out; /* -1: none. May be the same */
  bool       is_socket;
  bool       eager;   /* reads whether or not the front end takes anything: something else is told first */
  GSource   *in_source, *out_source, *hup_source, *held_source;
  /* Instead of the plain system calls, with their meaning. */
  ssize_t  (*read) (VmChardev *chr, int fd, void *buf, size_t len);
  ssize_t  (*write) (VmChardev *chr, int fd, const void *buf, size_t len);
  bool     (*unsent) (VmChardev *chr); /* what write took has not all gone out: flush must come */
  bool     (*held) (VmChardev *chr);   /* there is input that the descriptor does not show */
  bool     (*deliver) (VmChardev *chr); /* hands over what data has kept; false: some is left */
  void     (*data) (VmChardev *chr, const uint8_t *buf, size_t len); /* NULL: to the front end */
  void     (*flush) (VmChardev *chr); /* output is possible again, before the core's queue */
  void     (*eof) (VmChardev *chr); /* end of input or an error; the stream is still open. NULL: input ends */
} VmCharStream;

void   vm_char_stream_open (VmCharStream *s, VmChardev *chr, int in, int out);
void   vm_char_stream_close (VmCharStream *s); /* closes the descriptors; may be called twice */
size_t vm_char_stream_write (VmCharStream *s, const uint8_t *buf, size_t len);
void   vm_char_stream_accept_input (VmCharStream *s);
/* Opens PATH and fails with "Could not open '%s': %s"; never blocks afterwards. */
int    vm_char_open_path (const char *path, int flags, GError **error);
/* Fails unless KEY has a value: "chardev: BACKEND: WHAT". */
const char *vm_char_require (const VmCharOptions *options, const char *key, const char *backend, const char *what,
                             GError **error);
