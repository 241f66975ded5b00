/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who offers what, who may see it, and contents on their way. */
#include "engine/display/clipboard.h"

typedef struct Fetch
{
  VmClipboard *clipboard;
  VmClipSelection selection;
  VmClipType type;
  bool active; /* the owner was asked */
  VmTimer limit;
} Fetch;

typedef struct Offer
{
  VmClipPeer *owner; /* NULL: nobody */
  unsigned types;
  uint32_t serial;
  Fetch fetches[VM_CLIP_TYPES];
} Offer;

struct VmClipboard
{
  VmClocks *clocks;
  GPtrArray *peers; /* VmClipPeer * */
  Offer offers[VM_CLIP_SELECTIONS];
  VmClipMode mode;
  bool primary;
};

/* What PEER may have. */
static unsigned
clipboard_visible (VmClipboard *clipboard, const VmClipPeer *peer, VmClipSelection selection)
{
  const Offer *offer = &clipboard->offers[selection];

  if (!offer->owner || offer->owner->guest == peer->guest || (selection == VM_CLIP_PRIMARY && !clipboard->primary)
      || !(clipboard->mode & (peer->guest ? VM_CLIP_TO_GUEST : VM_CLIP_TO_HOST)))
    return 0;
  return offer->types;
}

static void
peer_answer (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  peer->wants[selection] &= ~VM_CLIP_BIT (type);
  peer->ops->received (peer, selection, type, data);
}

static void
fetch_finish (Fetch *fetch, GBytes *data)
{
  GPtrArray *peers = fetch->clipboard->peers;

  if (!fetch->active)
    return;
  fetch->active = false;
  vm_timer_cancel (&fetch->limit);
  for (unsigned i = 0; i < peers->len; i++)
    {
      VmClipPeer *peer = peers->pdata[i];

      if (peer->wants[fetch->selection] & VM_CLIP_BIT (fetch->type))
        peer_answer (peer, fetch->selection, fetch->type, data);
    }
}

static void
fetch_timed_out (void *opaque)
{
  fetch_finish (opaque, NULL);
}

/* FRESH: what is offered is another content now, of whatever types. */
static void
clipboard_tell (VmClipboard *clipboard, VmClipSelection selection, bool fresh)
{
  for (unsigned i = 0; i < clipboard->peers->len; i++)
    {
      VmClipPeer *peer = clipboard->peers->pdata[i];
      unsigned types = clipboard_visible (clipboard, peer, selection);

      if (clipboard->offers[selection].owner == peer)
        continue;
      if (types == peer->told[selection] && !(fresh && types))
        continue;
      peer->told[selection] = types;
      peer->ops->offered (peer, selection, types);
    }
}

/* --- peers ------------------------------------------------------------------------------------- */

VmClipboard *
vm_clipboard_new (VmClocks *clocks)
{
  VmClipboard *clipboard = g_new0 (VmClipboard, 1);

  clipboard->clocks = clocks;
  clipboard->peers = g_ptr_array_new ();
  clipboard->mode = VM_CLIP_BOTH;
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
      {
        Fetch *fetch = &clipboard->offers[s].fetches[t];

        fetch->clipboard = clipboard;
        fetch->selection = s;
        fetch->type = t;
        vm_timer_init (&fetch->limit, clocks, VM_CLOCK_REALTIME, fetch_timed_out, fetch);
      }
  return clipboard;
}

void
vm_clipboard_free (VmClipboard *clipboard)
{
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
      vm_timer_cancel (&clipboard->offers[s].fetches[t].limit);
  g_ptr_array_free (clipboard->peers, TRUE);
  g_free (clipboard);
}

void
vm_clip_peer_add (VmClipboard *clipboard, VmClipPeer *peer)
{
  g_assert (!peer->clipboard);
  peer->clipboard = clipboard;
  g_ptr_array_add (clipboard->peers, peer);
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    {
      peer->wants[s] = 0;
      peer->told[s] = clipboard_visible (clipboard, peer, s);
      if (peer->told[s])
        peer->ops->offered (peer, s, peer->told[s]);
    }
}

void
vm_clip_peer_remove (VmClipPeer *peer)
{
  VmClipboard *clipboard = peer->clipboard;

  if (!clipboard)
    return;
  g_ptr_array_remove (clipboard->peers, peer);
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    vm_clip_release (peer, s);
  peer->clipboard = NULL;
}

/* --- offers ------------------------------------------------------------------------------------ */

static void
offer_replace (VmClipboard *clipboard, VmClipSelection selection, VmClipPeer *owner, unsigned types)
{
  Offer *offer = &clipboard->offers[selection];

  offer->owner = owner;
  offer->types = types;
  offer->serial++;
  if (owner)
    owner->told[selection] = 0;
  for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
    fetch_finish (&offer->fetches[t], NULL);
  /* Somebody who was just answered may have grabbed, and told all. */
  if (offer->owner == owner)
    clipboard_tell (clipboard, selection, true);
}

void
vm_clip_grab (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
  types &= VM_CLIP_BIT (VM_CLIP_TYPES) - 1;
  if (!types)
    vm_clip_release (peer, selection);
  else if (peer->clipboard)
    offer_replace (peer->clipboard, selection, peer, types);
}

void
vm_clip_release (VmClipPeer *peer, VmClipSelection selection)
{
  if (peer->clipboard && peer->clipboard->offers[selection].owner == peer)
    offer_replace (peer->clipboard, selection, NULL, 0);
}

/* --- contents ---------------------------------------------------------------------------------- */

void
vm_clip_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  VmClipboard *clipboard = peer->clipboard;

  if (clipboard && peer->wants[selection] & VM_CLIP_BIT (type))
    return;
  if (!clipboard || !(clipboard_visible (clipboard, peer, selection) & VM_CLIP_BIT (type)))
    {
      peer->ops->received (peer, selection, type, NULL);
      return;
    }

  Offer *offer = &clipboard->offers[selection];
  Fetch *fetch = &offer->fetches[type];

  peer->wants[selection] |= VM_CLIP_BIT (type);
  if (fetch->active)
    return;
  fetch->active = true;
  vm_timer_set (&fetch->limit, vm_clock_now (clipboard->clocks, VM_CLOCK_REALTIME) + VM_CLIP_LIMIT_MS * VM_NS_PER_MS);
  offer->owner->ops->request (offer->owner, selection, type);
}

bool
vm_clip_is_wanted (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  return peer->clipboard && peer->clipboard->offers[selection].owner == peer
         && peer->clipboard->offers[selection].fetches[type].active;
}

void
vm_clip_deliver (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  if (!vm_clip_is_wanted (peer, selection, type))
    return;
  if (data && g_bytes_get_size (data) > VM_CLIP_MAX)
    data = NULL;
  fetch_finish (&peer->clipboard->offers[selection].fetches[type], data);
}

/* --- who may what ------------------------------------------------------------------------------- */

static void
clipboard_permissions_changed (VmClipboard *clipboard)
{
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    {
      for (unsigned i = 0; i < clipboard->peers->len; i++)
        {
          VmClipPeer *peer = clipboard->peers->pdata[i];

          for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
            if (peer->wants[s] & ~clipboard_visible (clipboard, peer, s) & VM_CLIP_BIT (t))
              peer_answer (peer, s, t, NULL);
        }
      clipboard_tell (clipboard, s, false);
    }
}

void
vm_clipboard_set_mode (VmClipboard *clipboard, VmClipMode mode)
{
  clipboard->mode = mode;
  clipboard_permissions_changed (clipboard);
}

VmClipMode
vm_clipboard_mode (VmClipboard *clipboard)
{
  return clipboard->mode;
}

void
vm_clipboard_set_primary (VmClipboard *clipboard, bool on)
{
  clipboard->primary = on;
  clipboard_permissions_changed (clipboard);
}

uint32_t
vm_clipboard_serial (VmClipboard *clipboard, VmClipSelection selection)
{
  return clipboard->offers[selection].serial;
}
