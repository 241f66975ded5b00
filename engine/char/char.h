/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Character back ends (a terminal, a socket, a file ...) and the front ends that use them (a UART, a
 * monitor, a virtio port). Everything here belongs to the engine loop: call it with the machine lock held,
 * which device code and loop dispatch always do. Nothing here blocks. */
#pragma once

#include "engine/clock/clock.h"
#include "engine/io/loop.h"
#include "engine/object/object.h"
#include "engine/options/keyvals.h"

typedef struct VmChardev VmChardev;
typedef struct VmCharFe  VmCharFe;

typedef enum VmCharEvent {
  VM_CHAR_OPENED,  /* somebody is at the other end; told soon after attaching too when it is so already */
  VM_CHAR_CLOSED,
  VM_CHAR_BREAK,   /* a break condition arrived */
  VM_CHAR_MUX_IN,  /* the multiplexer gives this front end the keyboard ... */
  VM_CHAR_MUX_OUT, /* ... and takes it away. One of the two comes first of all after attaching */
} VmCharEvent;

/* --- front ends -------------------------------------------------------------------------------- */

/* All may be NULL. */
typedef struct VmCharFeOps {
  size_t (*can_receive) (void *opaque); /* bytes it takes now; NULL: none ever */
  void   (*receive) (void *opaque, const uint8_t *buf, size_t len); /* never more than that */
  void   (*event) (void *opaque, VmCharEvent event);
  void   (*writable) (void *opaque);    /* once, after a short vm_char_fe_write(): there is room again */
} VmCharFeOps;

/* Embedded in its user's struct, all zero at first. Without a back end each call does nothing: writes are
 * swallowed, lines cannot be set. */
struct VmCharFe {
  char              *id;    /* what the "chardev" property says, owned */
  const char        *owner; /* type name of the device, for messages */
  VmChardev         *chr;   /* NULL: no back end */
  const VmCharFeOps *ops;
  void              *opaque;
  unsigned           slot;  /* place among the front ends of a multiplexer */
  bool               blocked;  /* a write was short: writable is owed */
  bool               announce; /* the present state is yet to be told */
  bool               shut;     /* attached, but the guest does not listen */
};

/* The property kind "chardev": names a back end by id. The field is a VmCharFe. The device's realize calls
 * vm_char_fe_attach(), its unrealize vm_char_fe_detach(). */
extern const VmPropCustom vm_prop_chardev;

/* Finds the back end FE's property names below ROOT (env->root) and claims it. True without a name. */
bool   vm_char_fe_attach (VmCharFe *fe, VmObject *root, const VmCharFeOps *ops, void *opaque, GError **error);
/* The same with a back end in hand. Fails when another front end has it, or all four places of a
 * multiplexer are taken. */
bool   vm_char_fe_attach_to (VmCharFe *fe, VmChardev *chr, const VmCharFeOps *ops, void *opaque,
                             GError **error);
/* Lets go; the property's value stays. */
void   vm_char_fe_detach (VmCharFe *fe);
static inline bool
vm_char_fe_connected (const VmCharFe *fe)
{
  return fe->chr != NULL;
}
/* Takes as many bytes as the back end and its bounded queue hold, all of them while nobody is at the other
 * end; ops->writable follows a short write. */
size_t vm_char_fe_write (VmCharFe *fe, const void *buf, size_t len);
/* Waits until whoever is at the other end has had all that was written, for as long as it goes on reading. */
void   vm_char_fe_drain (VmCharFe *fe);
/* can_receive() has grown: pending input may come at once, from the loop. */
void   vm_char_fe_accept_input (VmCharFe *fe);
void   vm_char_fe_take_focus (VmCharFe *fe); /* of a multiplexer; attaching does it too */
bool   vm_char_fe_is_open (VmCharFe *fe);    /* is somebody at the other end */
/* Does the guest listen? What query-chardev says of it; true after attaching. */
void   vm_char_fe_set_open (VmCharFe *fe, bool open);
/* Unix sockets: a descriptor that came along with the last input, -1 when none. The caller owns it. */
int    vm_char_fe_take_fd (VmCharFe *fe);
/* The plain Unix socket of the connection, for protocols that pass descriptors themselves; -1: there is none. Whoever reads
 * from it has no receive(). */
int    vm_char_fe_socket (VmCharFe *fe);
/* Whether there may ever be one. */
bool   vm_char_fe_passes_fds (VmCharFe *fe);

/* Serial lines; false where the back end has none. */
typedef struct VmCharLine {
  uint32_t speed;     /* bits a second */
  char     parity;    /* 'N', 'E', 'O' */
  uint8_t  data_bits; /* 5 to 8 */
  uint8_t  stop_bits; /* 1 or 2 */
} VmCharLine;
enum {
  VM_CHAR_CTS = 1 << 0,
  VM_CHAR_DCD = 1 << 1,
  VM_CHAR_RI  = 1 << 2,
  VM_CHAR_DSR = 1 << 3,
  VM_CHAR_DTR = 1 << 4,
  VM_CHAR_RTS = 1 << 5,
};
bool vm_char_fe_set_line (VmCharFe *fe, const VmCharLine *line);
bool vm_char_fe_set_break (VmCharFe *fe, bool on);
bool vm_char_fe_get_modem (VmCharFe *fe, unsigned *lines);
bool vm_char_fe_set_modem (VmCharFe *fe, unsigned lines); /* DTR and RTS */

/* Parallel ports: the register as the host port has it. */
typedef enum VmCharParport {
  VM_CHAR_PP_READ_DATA,
  VM_CHAR_PP_WRITE_DATA,
  VM_CHAR_PP_READ_CONTROL,
  VM_CHAR_PP_WRITE_CONTROL,
  VM_CHAR_PP_READ_STATUS,
} VmCharParport;
bool vm_char_fe_parport (VmCharFe *fe, VmCharParport op, uint8_t *value);

/* --- options ----------------------------------------------------------------------------------- */

/* A back end to be made: the key=value settings of "-chardev" as text, its kind and id under the keys
 * "backend" and "id". The schema's chardev-add and the shorthands fill the same thing. */
typedef struct VmKeyVals VmCharOptions;

VmCharOptions *vm_char_options_new (const char *backend, const char *id);
void           vm_char_options_free (VmCharOptions *options);
void           vm_char_options_set (VmCharOptions *options, const char *key, const char *value);
const char    *vm_char_options_get (const VmCharOptions *options, const char *key);
const char    *vm_char_options_backend (const VmCharOptions *options);
const char    *vm_char_options_id (const VmCharOptions *options);
void           vm_char_options_set_id (VmCharOptions *options, const char *id);
/* "socket,id=mon0,path=/tmp/x,server=on,wait=off": the argument of -chardev. */
VmCharOptions *vm_char_options_parse (const char *text, GError **error);

/* The device strings of -serial, -parallel, -monitor, -qmp, -debugcon, -gdb. */
typedef struct VmCharLegacy {
  VmCharOptions *options; /* a back end to make (its id is not set); NULL: none */
  char          *reuse;   /* "chardev:ID": use this one */
  bool           monitor; /* "mon:...": a monitor shares it, options has mux=on */
} VmCharLegacy;
/* "none" leaves all empty. MON_OK: "mon:" makes sense here. */
bool vm_chardev_parse_legacy (const char *text, bool mon_ok, VmCharLegacy *legacy, GError **error);
void vm_char_legacy_clear (VmCharLegacy *legacy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmCharOptions, vm_char_options_free)

/* --- back ends --------------------------------------------------------------------------------- */

/* Whoever draws a "vc", or stands behind any other back end that is not a host file. */
typedef struct VmCharSink {
  size_t (*write) (void *opaque, const uint8_t *buf, size_t len); /* takes what it can; see _writable */
  void   (*accept_input) (void *opaque); /* the front end can take more */
  void   (*closed) (void *opaque);       /* the back end goes away */
  void   (*listen) (void *opaque, bool on); /* whether there is a front end, and its guest listens */
} VmCharSink;

/* What the back ends of a machine share; outlives them. Hooks may be NULL. */
typedef struct VmCharEnv {
  VmLoop   *loop;
  VmClocks *clocks;
  VmObject *root;   /* "/"; the back ends are the children of /chardevs */
  uint8_t   escape; /* of the multiplexers: 1 is Ctrl+A; 0 means that too */
  void     *opaque; /* for the hooks */
  void (*quit) (void *opaque);                  /* multiplexer key x */
  void (*commit) (void *opaque);                /* multiplexer key s */
  void (*exit) (void *opaque, int status);      /* testdev */
  /* A vc was made: call vm_chardev_set_sink(), now or later. Without the hook it is a null device. */
  void (*vc_added) (void *opaque, VmChardev *chr, const VmCharOptions *options);
  /* A qemu-vdagent was made, as with vc. */
  void (*agent_added) (void *opaque, VmChardev *chr, bool mouse, bool clipboard);
  /* A spicevmc or spiceport called NAME was made, as with vc; nobody is at its other end yet. Without the hook there can
   * be none. */
  bool (*spice_added) (void *opaque, VmChardev *chr, bool port, const char *name, GError **error);
  /* A msmouse or wctablet came: feed it by vm_chardev_pointer() until pointer_gone() of what this returns. */
  void *(*pointer_added) (void *opaque, VmChardev *chr, bool absolute);
  void (*pointer_gone) (void *opaque, void *pointer);
} VmCharEnv;

extern const VmType vm_chardev_type;

/* Makes and opens a back end and puts it into the tree, which owns it. With mux=on it is a multiplexer ID
 * over a back end ID-base. A client socket may still be connecting, a server with wait=on has no client. */
VmChardev  *vm_chardev_new (VmCharEnv *env, const VmCharOptions *options, GError **error);
/* At start-up: iterates the loop until a wait=on server has its client and a client its server. */
bool        vm_chardev_wait (VmChardev *chr, GError **error);
VmChardev  *vm_chardev_find (VmObject *root, const char *id);
/* Fails while a front end has it. */
bool        vm_chardev_remove (VmChardev *chr, GError **error);
/* Another back end under the same id for the front end that has CHR. */
VmChardev  *vm_chardev_change (VmCharEnv *env, VmChardev *chr, const VmCharOptions *options, GError **error);
/* All of them, at the end: terminals get their modes back, Unix sockets and links are removed. */
void        vm_chardev_remove_all (VmCharEnv *env);
void        vm_chardev_foreach (VmObject *root, void (*func) (VmChardev *chr, void *opaque), void *opaque);
const char *vm_chardev_id (const VmChardev *chr);
/* "pty:/dev/pts/3", "disconnected:unix:/tmp/x,server=on", "null": what query-chardev says. Not owned. */
const char *vm_chardev_filename (VmChardev *chr);
bool        vm_chardev_frontend_open (VmChardev *chr);
bool        vm_chardev_is_mux (const VmChardev *chr);
void        vm_chardev_send_break (VmChardev *chr); /* the front end sees a break */
/* The kinds of this build, for "-chardev help" and query-chardev-backends; ends with NULL. */
const char *const *vm_chardev_backends (void);
char       *vm_chardev_describe (VmObject *root); /* "info chardev" */

/* FD is a client that somebody else has accepted; it is taken over unless false says why not. */
bool        vm_chardev_add_client (VmChardev *chr, int fd, GError **error);
/* A connection that hangs ends now, as if the other end had ended it. False: it is no socket. */
bool        vm_chardev_yank (VmChardev *chr);

/* Ring buffers. Read: at most SIZE bytes, newly allocated, its length in *LEN. */
uint8_t    *vm_chardev_ringbuf_read (VmChardev *chr, size_t size, size_t *len, GError **error);
bool        vm_chardev_ringbuf_write (VmChardev *chr, const uint8_t *buf, size_t len, GError **error);

/* Pointing devices on serial lines. BUTTONS: bit 0 left, 1 right, 2 middle. X and Y: how far a msmouse went; where a
 * wctablet's pen is, 0 to VM_CHAR_POINTER_MAX. */
#define VM_CHAR_POINTER_MAX 0x7fff
void        vm_chardev_pointer (VmChardev *chr, int x, int y, unsigned buttons);

/* For sinks: a vc, or a back end of their own made by _new_sink (FILENAME is what query-chardev says). */
VmChardev  *vm_chardev_new_sink (VmCharEnv *env, const char *id, const char *filename, GError **error);
void        vm_chardev_set_sink (VmChardev *chr, const VmCharSink *sink, void *opaque);
size_t      vm_chardev_can_receive (VmChardev *chr);
void        vm_chardev_receive (VmChardev *chr, const uint8_t *buf, size_t len);
void        vm_chardev_writable (VmChardev *chr); /* the sink takes bytes again */
void        vm_chardev_set_connected (VmChardev *chr, bool connected); /* somebody came to a spicevmc's other end, or went */
