/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine's clipboard: what viewers (the window, VNC, SPICE) and agents in the guest have to paste.
 *
 * Each of them is a peer. A peer announces what it offers by type; content is fetched only when somebody asks for it,
 * and no call here waits. The last grab wins. What a viewer offers goes to guests alone and what a guest offers to
 * viewers alone, as far as the mode lets it: a clipboard does not travel from the person at the window to one behind VNC.
 *
 * Engine loop or machine lock held, as everywhere in the engine: viewers on threads of their own post to
 * vm_display_loop(), and their callbacks only post back. */
#pragma once

#include "engine/display/display.h"

typedef struct VmClipboard VmClipboard;
typedef struct VmClipPeer  VmClipPeer;

#define VM_CLIP_MAX      (100u << 20) /* bytes of a content; more is none */
#define VM_CLIP_LIMIT_MS 5000         /* for an owner to come up with it */

typedef enum VmClipSelection {
  VM_CLIP_CLIPBOARD,
  VM_CLIP_PRIMARY, /* nobody hears of it unless vm_clipboard_set_primary() */
  VM_CLIP_SELECTIONS,
} VmClipSelection;

typedef enum VmClipType {
  VM_CLIP_TEXT, /* UTF-8; lines end with LF; no NUL */
  VM_CLIP_PNG,  /* as it came: nobody has looked inside */
  VM_CLIP_TYPES,
} VmClipType;
#define VM_CLIP_BIT(type) (1u << (type))

typedef enum VmClipMode { /* bits of the two ways */
  VM_CLIP_OFF,
  VM_CLIP_TO_GUEST,
  VM_CLIP_TO_HOST,
  VM_CLIP_BOTH,
} VmClipMode;

/* None may add or remove peers; all else is allowed in them. */
typedef struct VmClipPeerOps {
  /* What PEER can have of SELECTION is this from now on; 0: nothing, as when its own offer was overtaken by one that it
   * does not get to see. Told after each grab, also of the same types. Never of its own. */
  void (*offered) (VmClipPeer *peer, VmClipSelection selection, unsigned types);
  /* Somebody wants what PEER offers: vm_clip_deliver(), at once or within VM_CLIP_LIMIT_MS. */
  void (*request) (VmClipPeer *peer, VmClipSelection selection, VmClipType type);
  /* The answer to its vm_clip_request(); DATA (borrowed) NULL: there is none. */
  void (*received) (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data);
} VmClipPeerOps;

/* Embedded in its user's struct; all but the first two are the clipboard's. */
struct VmClipPeer {
  const VmClipPeerOps *ops;
  bool                 guest; /* an agent, not a viewer */
  VmClipboard         *clipboard; /* NULL: not in one */
  unsigned             told[VM_CLIP_SELECTIONS];  /* types */
  unsigned             wants[VM_CLIP_SELECTIONS]; /* types it has asked for */
};

VmClipboard *vm_display_clipboard (VmDisplay *display); /* any thread */
VmClipboard *vm_clipboard_new (VmClocks *clocks);
void         vm_clipboard_free (VmClipboard *clipboard); /* without peers */

/* A new peer is told at once what there is. One that goes takes its offers along and gets no more answers. */
void vm_clip_peer_add (VmClipboard *clipboard, VmClipPeer *peer);
void vm_clip_peer_remove (VmClipPeer *peer); /* nothing when it is in none */

/* PEER offers TYPES (bits) in place of whatever was offered; 0: as release. */
void vm_clip_grab (VmClipPeer *peer, VmClipSelection selection, unsigned types);
void vm_clip_release (VmClipPeer *peer, VmClipSelection selection); /* nothing unless it is the owner */
/* received() is called exactly once for it, perhaps before this returns; while one for the same type is under way,
 * a second one is the same. */
void vm_clip_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type);
/* DATA is borrowed; NULL: cannot. Ignored when nobody waits for it. */
void vm_clip_deliver (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data);
/* Does somebody wait for this from PEER? */
bool vm_clip_is_wanted (VmClipPeer *peer, VmClipSelection selection, VmClipType type);

/* VM_CLIP_BOTH at first. What is under way in a direction that ends is answered with nothing. */
void       vm_clipboard_set_mode (VmClipboard *clipboard, VmClipMode mode);
VmClipMode vm_clipboard_mode (VmClipboard *clipboard);
void       vm_clipboard_set_primary (VmClipboard *clipboard, bool on);
/* Counts the grabs and releases of SELECTION. */
uint32_t   vm_clipboard_serial (VmClipboard *clipboard, VmClipSelection selection);
