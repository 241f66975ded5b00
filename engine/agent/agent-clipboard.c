/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's clipboard as a peer of the machine's. Text has LF at the ends of lines here and what the agent says
 * there. */
#include "engine/agent/agent-private.h"

#define LARGE (64 * 1024) /* texts that a worker converts */

/* --- on the wire ------------------------------------------------------------------------------- */

static uint32_t
type_to_wire (VmClipType type)
{
  return type == VM_CLIP_PNG ? VD_AGENT_CLIPBOARD_IMAGE_PNG : VD_AGENT_CLIPBOARD_UTF8_TEXT;
}

static bool
type_from_wire (uint32_t wire, VmClipType *type)
{
  *type = wire == VD_AGENT_CLIPBOARD_IMAGE_PNG ? VM_CLIP_PNG : VM_CLIP_TEXT;
  return wire == VD_AGENT_CLIPBOARD_IMAGE_PNG || wire == VD_AGENT_CLIPBOARD_UTF8_TEXT;
}

/* A message that begins with the selection where the agent knows of them. WORDS: of 32 bits. */
static void
clipboard_send (VmAgent *agent, uint32_t message, VmClipSelection selection, const uint32_t *words, unsigned n,
                GBytes *body, VdSentFunc sent, void *opaque)
{
  bool selections = vd_agent_can (agent, VD_AGENT_CAP_CLIPBOARD_SELECTION);
  uint8_t head[4 * 6] = { 0 };
  unsigned at = selections ? 4 : 0;

  if (selections)
    head[0]
        = selection == VM_CLIP_PRIMARY ? VD_AGENT_CLIPBOARD_SELECTION_PRIMARY : VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD;
  for (unsigned i = 0; i < n; i++, at += 4)
    vm_store_le32 (head + at, words[i]);
  vd_agent_send (agent, VDP_CLIENT_PORT, message, head, at, body, sent, opaque);
}

static bool
clipboard_has (VmAgent *agent, VmClipSelection selection)
{
  return selection == VM_CLIP_CLIPBOARD || vd_agent_can (agent, VD_AGENT_CAP_CLIPBOARD_SELECTION);
}

/* --- texts ------------------------------------------------------------------------------------- */

/* Lines end with CRLF there; those that do already stay. NULL: no memory. */
static GBytes *
text_to_crlf (GBytes *text)
{
  gsize size, extra = 0;
  const char *from = g_bytes_get_data (text, &size);

  for (gsize i = 0; i < size; i++)
    extra += from[i] == '\n' && (!i || from[i - 1] != '\r');
  if (!extra)
    return g_bytes_ref (text);
  char *to = g_try_malloc (size + extra), *at = to;
  if (!to)
    return NULL;
  for (gsize i = 0; i < size; i++)
    {
      if (from[i] == '\n' && (!i || from[i - 1] != '\r'))
        *at++ = '\r';
      *at++ = from[i];
    }
  return g_bytes_new_take (to, size + extra);
}

/* Valid UTF-8 up to the first NUL, or NULL. */
static GBytes *
text_from_guest (GBytes *text, bool crlf)
{
  gsize size;
  const char *from = g_bytes_get_data (text, &size);
  const char *end = size ? memchr (from, 0, size) : NULL;

  if (end)
    size = end - from;
  if (!g_utf8_validate_len (from, size, NULL))
    return NULL;
  if (!crlf || !size || !memchr (from, '\r', size))
    return g_bytes_new_from_bytes (text, 0, size);
  char *to = g_try_malloc (size), *at = to;
  if (!to)
    return NULL;
  for (gsize i = 0; i < size; i++)
    if (from[i] != '\r' || i + 1 == size || from[i + 1] != '\n')
      *at++ = from[i];
  return g_bytes_new_take (to, at - to);
}

/* A content between the guest and the clipboard. */
typedef struct Conversion
{
  VmAgent *agent;
  VmClipSelection selection;
  VmClipType type;
  bool to_guest, crlf;
  unsigned session; /* of the agent */
  uint32_t serial;  /* of the offer */
  GBytes *data;     /* NULL: there is none */
} Conversion;

static void
conversion_run (void *opaque)
{
  Conversion *c = opaque;
  GBytes *was = c->data;

  if (!was || c->type != VM_CLIP_TEXT)
    return;
  if (!c->to_guest)
    c->data = text_from_guest (was, c->crlf);
  else if (c->crlf)
    c->data = text_to_crlf (was);
  else
    return;
  g_bytes_unref (was);
}

static void
clipboard_answered (void *answering)
{
  *(bool *) answering = false;
}

static void
clipboard_answer (VmAgent *agent, VmClipSelection selection, VmClipType type, GBytes *data)
{
  const uint32_t word = data ? type_to_wire (type) : VD_AGENT_CLIPBOARD_NONE;

  clipboard_send (agent, VD_AGENT_CLIPBOARD, selection, &word, 1, data ? g_bytes_ref (data) : NULL, clipboard_answered,
                  &agent->answering[selection][type]);
}

static void
conversion_done (void *opaque)
{
  Conversion *c = opaque;
  VmAgent *agent = c->agent;
  bool there = agent->peer.clipboard && agent->session == c->session;

  if (c->to_guest && there)
    clipboard_answer (agent, c->selection, c->type, c->data);
  else if (there && vm_clipboard_serial (agent->peer.clipboard, c->selection) == c->serial)
    vm_clip_deliver (&agent->peer, c->selection, c->type, c->data);
  g_clear_pointer (&c->data, g_bytes_unref);
  g_free (c);
  vd_agent_unref (agent);
}

static void
clipboard_convert (VmAgent *agent, bool to_guest, VmClipSelection selection, VmClipType type, GBytes *data)
{
  Conversion *c = g_new0 (Conversion, 1);

  *c = (Conversion){
    .agent = vd_agent_ref (agent),
    .selection = selection,
    .type = type,
    .to_guest = to_guest,
    .crlf = vd_agent_can (agent, VD_AGENT_CAP_GUEST_LINEEND_CRLF),
    .session = agent->session,
    .serial = vm_clipboard_serial (agent->peer.clipboard, selection),
    .data = data ? g_bytes_ref (data) : NULL,
  };
  if (data && type == VM_CLIP_TEXT && g_bytes_get_size (data) > LARGE)
    {
      vm_loop_work (vm_display_loop (agent->display), conversion_run, conversion_done, c);
      return;
    }
  conversion_run (c);
  conversion_done (c);
}

/* --- what the clipboard wants of the agent ------------------------------------------------------- */

static void
peer_offered (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
  VmAgent *agent = VM_CONTAINER_OF (peer, VmAgent, peer);
  uint32_t words[1 + VM_CLIP_TYPES];
  unsigned n = 0;

  if (!clipboard_has (agent, selection) || (!types && !agent->told[selection]))
    return;
  agent->told[selection] = types;
  if (!types)
    {
      clipboard_send (agent, VD_AGENT_CLIPBOARD_RELEASE, selection, NULL, 0, NULL, NULL, NULL);
      return;
    }
  if (vd_agent_can (agent, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL))
    words[n++] = agent->serials[selection]++;
  for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
    if (types & VM_CLIP_BIT (t))
      words[n++] = type_to_wire (t);
  clipboard_send (agent, VD_AGENT_CLIPBOARD_GRAB, selection, words, n, NULL, NULL, NULL);
}

static void
peer_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  const uint32_t word = type_to_wire (type);

  clipboard_send (VM_CONTAINER_OF (peer, VmAgent, peer), VD_AGENT_CLIPBOARD_REQUEST, selection, &word, 1, NULL, NULL,
                  NULL);
}

static void
peer_received (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  VmAgent *agent = VM_CONTAINER_OF (peer, VmAgent, peer);

  /* One at a time, so that a guest that asks and does not read gets nowhere. */
  agent->answering[selection][type] = true;
  clipboard_convert (agent, true, selection, type, data);
}

static const VmClipPeerOps peer_ops = { peer_offered, peer_request, peer_received };

/* --- what the agent says ------------------------------------------------------------------------ */

/* The last grab wins. Both sides count them; when they grab at the same time, both have the same number, the agent
 * does not take ours, and we take its. */
static void
clipboard_take_grab (VmAgent *agent, VmClipSelection selection, const uint8_t *bytes, size_t size)
{
  unsigned types = 0;

  if (vd_agent_can (agent, VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL))
    {
      if (size < 4)
        return;
      uint32_t serial = vm_load_le32 (bytes);
      if ((int32_t) (serial + 1 - agent->serials[selection]) < 0)
        return; /* before our last one */
      agent->serials[selection] = serial + 1;
      bytes += 4;
      size -= 4;
    }
  for (size_t at = 0; at + 4 <= size; at += 4)
    {
      VmClipType type;

      if (type_from_wire (vm_load_le32 (bytes + at), &type))
        types |= VM_CLIP_BIT (type);
    }
  agent->told[selection] = false;
  vm_clip_grab (&agent->peer, selection, types);
}

static void
clipboard_take_data (VmAgent *agent, VmClipSelection selection, uint32_t wire, GBytes *data, size_t at)
{
  VmClipType type;

  if (type_from_wire (wire, &type))
    {
      g_autoptr (GBytes) content = g_bytes_new_from_bytes (data, at, g_bytes_get_size (data) - at);

      if (vm_clip_is_wanted (&agent->peer, selection, type))
        clipboard_convert (agent, false, selection, type, content);
      return;
    }
  for (unsigned t = 0; t < VM_CLIP_TYPES && wire == VD_AGENT_CLIPBOARD_NONE; t++)
    vm_clip_deliver (&agent->peer, selection, t, NULL);
}

void
vd_clipboard_message (VmAgent *agent, uint32_t message, GBytes *data)
{
  VmClipSelection selection = VM_CLIP_CLIPBOARD;
  VmClipType type;
  gsize size, at = 0;
  const uint8_t *bytes = g_bytes_get_data (data, &size);

  if (!agent->peer.clipboard)
    return;
  if (vd_agent_can (agent, VD_AGENT_CAP_CLIPBOARD_SELECTION))
    {
      if (size < 4 || bytes[0] > VD_AGENT_CLIPBOARD_SELECTION_PRIMARY)
        return;
      selection = bytes[0] == VD_AGENT_CLIPBOARD_SELECTION_PRIMARY ? VM_CLIP_PRIMARY : VM_CLIP_CLIPBOARD;
      at = 4;
    }
  if (message == VD_AGENT_CLIPBOARD_RELEASE)
    {
      vm_clip_release (&agent->peer, selection);
      return;
    }
  if (message == VD_AGENT_CLIPBOARD_GRAB)
    {
      clipboard_take_grab (agent, selection, bytes + at, size - at);
      return;
    }
  if (size < at + 4)
    return;
  uint32_t wire = vm_load_le32 (bytes + at);
  if (message == VD_AGENT_CLIPBOARD)
    clipboard_take_data (agent, selection, wire, data, at + 4);
  else if (type_from_wire (wire, &type) && !agent->answering[selection][type])
    vm_clip_request (&agent->peer, selection, type);
}

size_t
vd_clipboard_limit (VmAgent *agent)
{
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
      if (vm_clip_is_wanted (&agent->peer, s, t))
        return VM_CLIP_MAX + sizeof (VDAgentClipboard) + 4;
  return 0;
}

/* --- life -------------------------------------------------------------------------------------- */

void
vd_clipboard_start (VmAgent *agent)
{
  if (agent->peer.clipboard)
    return;
  if (vd_agent_can (agent, VD_AGENT_CAP_MAX_CLIPBOARD))
    {
      uint8_t max[sizeof (VDAgentMaxClipboard)];

      vm_store_le32 (max, VM_CLIP_MAX);
      vd_agent_send (agent, VDP_CLIENT_PORT, VD_AGENT_MAX_CLIPBOARD, max, sizeof max, NULL, NULL, NULL);
    }
  agent->peer = (VmClipPeer){ .ops = &peer_ops, .guest = true };
  memset (agent->told, 0, sizeof agent->told);
  memset (agent->answering, 0, sizeof agent->answering);
  vm_clip_peer_add (vm_display_clipboard (agent->display), &agent->peer);
}

void
vd_clipboard_stop (VmAgent *agent)
{
  vm_clip_peer_remove (&agent->peer);
}
