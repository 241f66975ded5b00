/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clipboards: cut text in Latin-1 (RFC 6143, 7.5.6 and 7.6.4) and the Extended Clipboard of the community's protocol
 * document, which tells what there is and sends it when asked. Each client is a peer of the machine's clipboard, which
 * belongs to the engine's thread; both sides only post to each other. */
#include "ui/vnc/vnc-private.h"

#include "engine/display/clipboard.h"

#define CONTENT_MAX (16u << 20) /* bytes of text, unpacked */
#define PENDING_MAX (4u << 20)  /* unread by the client: more content than that is not queued behind it */

enum
{ /* the first word of an extended message */
  FORMAT_TEXT = 1 << 0,
  FORMATS = 0xffff,
  CAPS = 1 << 24,
  REQUEST = 1 << 25,
  PEEK = 1 << 26,
  NOTIFY = 1 << 27,
  PROVIDE = 1 << 28
};

struct VncClipboard
{
  int refs; /* atomic: the client's, and one for each message under way */
  VmLoop *loop, *engine;
  VmClipboard *all;
  int extended; /* atomic: the client knows the extension */
  /* VNC thread */
  VncClient *client; /* NULL: it is gone */
  unsigned offered;  /* by the guest, formats of the extension */
  /* engine */
  VmClipPeer peer;
  bool gone;
  GBytes *text; /* what the client has said; NULL: it is to be asked */
};

/* A message between the two threads. */
typedef struct Post
{
  struct VncClipboard *clip;
  unsigned types;
  GBytes *text;
} Post;

static void
clip_unref (struct VncClipboard *clip)
{
  if (!g_atomic_int_dec_and_test (&clip->refs))
    return;
  g_clear_pointer (&clip->text, g_bytes_unref);
  g_free (clip);
}

static void
post (struct VncClipboard *clip, VmLoop *loop, VmPostFunc func, unsigned types, GBytes *text)
{
  Post *p = g_new (Post, 1);

  *p = (Post){ clip, types, text ? g_bytes_ref (text) : NULL };
  g_atomic_int_inc (&clip->refs);
  vm_loop_post (loop, func, p);
}

static void
post_free (Post *p)
{
  clip_unref (p->clip);
  g_clear_pointer (&p->text, g_bytes_unref);
  g_free (p);
}

/* --- to the client; VNC thread -------------------------------------------------------------------------------------
 */

static void
send_extended (VncClient *c, uint32_t flags, const uint8_t *data, size_t len)
{
  g_autoptr (GByteArray) m = g_byte_array_new ();

  vnc_put_u32 (m, 3u << 24);
  vnc_put_u32 (m, 0u - (uint32_t) (len + 4));
  vnc_put_u32 (m, flags);
  if (len)
    g_byte_array_append (m, data, (guint) len);
  if (vnc_wire_pending (&c->wire) < PENDING_MAX)
    vnc_wire_write_picture (&c->wire, m->data, m->len);
}

/* With lines that end with CR LF and a 0 at the end, compressed on its own. */
static void
send_text_extended (VncClient *c, const char *text, size_t len)
{
  g_autoptr (GByteArray) plain = g_byte_array_new ();
  uint8_t zero = 0;

  vnc_put_u32 (plain, 0);
  for (size_t i = 0; i < len; i++)
    {
      if (text[i] == '\n' && (!i || text[i - 1] != '\r'))
        vnc_put_u8 (plain, '\r');
      vnc_put_u8 (plain, (uint8_t) text[i]);
    }
  g_byte_array_append (plain, &zero, 1);
  vm_store_be32 (plain->data, plain->len - 4);
  uLongf packed_len = compressBound (plain->len);
  g_autofree uint8_t *packed = g_malloc (packed_len);
  if (compress2 (packed, &packed_len, plain->data, plain->len, 6) == Z_OK)
    send_extended (c, PROVIDE | FORMAT_TEXT, packed, packed_len);
}

static void
send_text_plain (VncClient *c, const char *text, size_t len)
{
  g_autoptr (GByteArray) m = g_byte_array_new ();
  const char *end = text + len;

  if (!g_utf8_validate (text, (gssize) len, NULL))
    return;
  vnc_put_u32 (m, 3u << 24);
  vnc_put_u32 (m, 0);
  for (; text < end; text = g_utf8_next_char (text))
    {
      gunichar ch = g_utf8_get_char (text);
      vnc_put_u8 (m, ch < 256 ? (uint8_t) ch : '?');
    }
  vm_store_be32 (m->data + 4, m->len - 8);
  if (vnc_wire_pending (&c->wire) < PENDING_MAX)
    vnc_wire_write_picture (&c->wire, m->data, m->len);
}

static void
tell_offered (void *opaque)
{
  Post *p = opaque;
  VncClient *c = p->clip->client;

  p->clip->offered = p->types & VM_CLIP_BIT (VM_CLIP_TEXT) ? FORMAT_TEXT : 0;
  if (c && (c->features & VNC_HAS_CLIPBOARD))
    send_extended (c, NOTIFY | p->clip->offered, NULL, 0);
  post_free (p);
}

static void
tell_text (void *opaque)
{
  Post *p = opaque;
  VncClient *c = p->clip->client;
  gsize len = 0;
  const char *text = p->text ? g_bytes_get_data (p->text, &len) : "";

  if (c && c->initialized && (c->features & VNC_HAS_CLIPBOARD))
    send_text_extended (c, text, len);
  else if (c && c->initialized && p->text)
    send_text_plain (c, text, len);
  post_free (p);
}

static void
ask_client (void *opaque)
{
  Post *p = opaque;
  VncClient *c = p->clip->client;

  if (c && (c->features & VNC_HAS_CLIPBOARD))
    send_extended (c, REQUEST | FORMAT_TEXT, NULL, 0);
  post_free (p);
}

/* --- a peer; engine loop ---------------------------------------------------------------------------------------------
 */

static struct VncClipboard *
clip_of (VmClipPeer *peer)
{
  return VM_CONTAINER_OF (peer, struct VncClipboard, peer);
}

static void
peer_offered (VmClipPeer *peer, VmClipSelection selection, unsigned types)
{
  struct VncClipboard *clip = clip_of (peer);

  if (selection != VM_CLIP_CLIPBOARD)
    return;
  if (g_atomic_int_get (&clip->extended))
    post (clip, clip->loop, tell_offered, types, NULL);
  else if (types & VM_CLIP_BIT (VM_CLIP_TEXT)) /* the client cannot ask */
    vm_clip_request (peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT);
}

static void
peer_request (VmClipPeer *peer, VmClipSelection selection, VmClipType type)
{
  struct VncClipboard *clip = clip_of (peer);

  if (type != VM_CLIP_TEXT)
    vm_clip_deliver (peer, selection, type, NULL);
  else if (clip->text)
    vm_clip_deliver (peer, selection, type, clip->text);
  else
    post (clip, clip->loop, ask_client, 0, NULL);
}

static void
peer_received (VmClipPeer *peer, VmClipSelection selection, VmClipType type, GBytes *data)
{
  struct VncClipboard *clip = clip_of (peer);

  if (selection == VM_CLIP_CLIPBOARD && type == VM_CLIP_TEXT && (!data || g_bytes_get_size (data) <= CONTENT_MAX))
    post (clip, clip->loop, tell_text, 0, data);
}

static const VmClipPeerOps peer_ops = { .offered = peer_offered, .request = peer_request, .received = peer_received };

static void
do_join (void *opaque)
{
  Post *p = opaque;

  p->clip->peer.ops = &peer_ops;
  vm_clip_peer_add (p->clip->all, &p->clip->peer);
  post_free (p);
}

static void
do_leave (void *opaque)
{
  Post *p = opaque;

  p->clip->gone = true;
  vm_clip_peer_remove (&p->clip->peer);
  post_free (p);
}

/* The client has text, said at once or when asked (TEXT NULL). TYPES 0: no longer. */
static void
do_grab (void *opaque)
{
  Post *p = opaque;
  struct VncClipboard *clip = p->clip;

  g_clear_pointer (&clip->text, g_bytes_unref);
  clip->text = g_steal_pointer (&p->text);
  if (!clip->gone && p->types)
    vm_clip_grab (&clip->peer, VM_CLIP_CLIPBOARD, p->types);
  else if (!clip->gone)
    vm_clip_release (&clip->peer, VM_CLIP_CLIPBOARD);
  post_free (p);
}

static void
do_deliver (void *opaque)
{
  Post *p = opaque;

  if (!p->clip->gone)
    vm_clip_deliver (&p->clip->peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT, p->text);
  post_free (p);
}

static void
do_request (void *opaque)
{
  Post *p = opaque;

  if (!p->clip->gone)
    vm_clip_request (&p->clip->peer, VM_CLIP_CLIPBOARD, VM_CLIP_TEXT);
  post_free (p);
}

/* --- from the client; VNC thread -------------------------------------------------------------- */

void
vnc_clipboard_join (VncClient *c)
{
  const VmEnv *env = &c->server->vnc->machine->env;
  struct VncClipboard *clip = g_new0 (struct VncClipboard, 1);

  clip->refs = 1;
  clip->loop = c->wire.loop;
  clip->engine = env->loop;
  clip->all = vm_display_clipboard (env->display);
  clip->client = c;
  c->clipboard = clip;
  post (clip, clip->engine, do_join, 0, NULL);
}

void
vnc_clipboard_leave (VncClient *c)
{
  struct VncClipboard *clip = g_steal_pointer (&c->clipboard);

  if (!clip)
    return;
  clip->client = NULL;
  post (clip, clip->engine, do_leave, 0, NULL);
  clip_unref (clip);
}

void
vnc_clipboard_features (VncClient *c)
{
  bool has = c->features & VNC_HAS_CLIPBOARD;
  uint8_t most[4] = { 0 }; /* of what it may send unasked: nothing */

  if (has && !g_atomic_int_get (&c->clipboard->extended))
    send_extended (c, CAPS | REQUEST | PEEK | NOTIFY | PROVIDE | FORMAT_TEXT, most, sizeof most);
  g_atomic_int_set (&c->clipboard->extended, has);
}

void
vnc_clipboard_text (VncClient *c, const uint8_t *latin, size_t len)
{
  GString *text = g_string_sized_new (len);

  for (size_t i = 0; i < len && latin[i]; i++)
    if (latin[i] != '\r')
      g_string_append_unichar (text, latin[i]);
  g_autoptr (GBytes) bytes = g_string_free_to_bytes (text);
  post (c->clipboard, c->clipboard->engine, do_grab, VM_CLIP_BIT (VM_CLIP_TEXT), bytes);
}

/* Unpacks; at most LIMIT bytes. */
static GByteArray *
unpack (const uint8_t *data, size_t len, size_t limit)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  z_stream z = { .next_in = (Bytef *) data, .avail_in = (uInt) len };
  int status = inflateInit (&z);

  while (status == Z_OK && out->len < limit)
    {
      z.next_out = vnc_grow (out, 65536);
      z.avail_out = 65536;
      status = inflate (&z, Z_SYNC_FLUSH);
      g_byte_array_set_size (out, out->len - z.avail_out);
      if (status == Z_OK && z.avail_out)
        break; /* it wants more, and there is none */
    }
  inflateEnd (&z);
  return g_steal_pointer (&out);
}

static void
take_provided (VncClient *c, uint32_t flags, const uint8_t *data, size_t len)
{
  g_autoptr (GByteArray) plain = unpack (data, len, CONTENT_MAX + 8);
  g_autoptr (GBytes) bytes = NULL;

  if (!(flags & FORMAT_TEXT)) /* the others come after it */
    return;
  if (plain->len >= 4 && vm_load_be32 (plain->data) <= MIN (plain->len - 4, CONTENT_MAX))
    {
      uint32_t n = vm_load_be32 (plain->data);
      GString *text = g_string_sized_new (n);
      for (uint32_t i = 0; i < n && plain->data[4 + i]; i++)
        if (plain->data[4 + i] != '\r' || i + 1 == n || plain->data[5 + i] != '\n')
          g_string_append_c (text, (char) plain->data[4 + i]);
      bool valid = g_utf8_validate (text->str, (gssize) text->len, NULL);
      bytes = g_string_free_to_bytes (text);
      if (!valid)
        g_clear_pointer (&bytes, g_bytes_unref);
    }
  post (c->clipboard, c->clipboard->engine, do_deliver, 0, bytes);
}

bool
vnc_clipboard_extended (VncClient *c, const uint8_t *message, size_t len)
{
  struct VncClipboard *clip = c->clipboard;

  if (len < 4)
    return false;
  uint32_t flags = vm_load_be32 (message);
  if (flags & CAPS)
    return true; /* that it can is all we want to know */
  if (flags & REQUEST && flags & FORMAT_TEXT)
    post (clip, clip->engine, do_request, 0, NULL);
  else if (flags & PEEK)
    send_extended (c, NOTIFY | clip->offered, NULL, 0);
  else if (flags & NOTIFY)
    post (clip, clip->engine, do_grab, flags & FORMAT_TEXT ? VM_CLIP_BIT (VM_CLIP_TEXT) : 0, NULL);
  else if (flags & PROVIDE)
    take_provided (c, flags, message + 4, len - 4);
  return true;
}
