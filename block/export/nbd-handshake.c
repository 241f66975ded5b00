/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NBD server: the fixed newstyle handshake. */
#include "block/export/nbd-private.h"

#define MAGIC_INIT UINT64_C (0x4e42444d41474943)
#define MAGIC_OPTION UINT64_C (0x49484156454f5054)
#define MAGIC_REPLY UINT64_C (0x0003e889045565a9)
#define MIN_BLOCK 1
#define BEST_BLOCK 4096

enum
{
  FLAG_FIXED = 1,
  FLAG_NO_ZEROES = 2
};
enum
{
  OPT_EXPORT_NAME = 1,
  OPT_ABORT = 2,
  OPT_LIST = 3,
  OPT_STARTTLS = 5,
  OPT_INFO = 6,
  OPT_GO = 7,
  OPT_STRUCTURED_REPLY = 8,
  OPT_LIST_META_CONTEXT = 9,
  OPT_SET_META_CONTEXT = 10,
};
#define REP_ACK 1u
#define REP_SERVER 2u
#define REP_INFO 3u
#define REP_META_CONTEXT 4u
#define REP_ERR_UNSUP 0x80000001u
#define REP_ERR_POLICY 0x80000002u
#define REP_ERR_INVALID 0x80000003u
#define REP_ERR_UNKNOWN 0x80000006u
#define REP_ERR_TOO_BIG 0x80000009u
enum
{
  INFO_EXPORT = 0,
  INFO_NAME = 1,
  INFO_DESCRIPTION = 2,
  INFO_BLOCK_SIZE = 3
};

/* Reads out of an option's data; OK says whether all was there. */
typedef struct Reader
{
  const uint8_t *at;
  size_t left;
  bool ok;
} Reader;

static const uint8_t *
take (Reader *r, size_t len)
{
  const uint8_t *at = r->at;

  if (len > r->left)
    {
      r->ok = false;
      return NULL;
    }
  r->at += len;
  r->left -= len;
  return at;
}

static uint32_t
take_u32 (Reader *r)
{
  const uint8_t *at = take (r, 4);

  return at ? vm_load_be32 (at) : 0;
}

static bool
reply (NbdConnection *c, uint32_t option, uint32_t type, const void *data, size_t len)
{
  uint8_t head[20];

  vm_store_be64 (head, MAGIC_REPLY);
  vm_store_be32 (head + 8, option);
  vm_store_be32 (head + 12, type);
  vm_store_be32 (head + 16, (uint32_t) len);
  return nbd_write (c, head, sizeof head) && nbd_write (c, data, len);
}

static bool
refuse (NbdConnection *c, uint32_t option, uint32_t type, const char *why)
{
  return reply (c, option, type, why, strlen (why));
}

static uint16_t
transmission_flags (const NbdExport *e)
{
  enum
  {
    HAS_FLAGS = 1,
    READ_ONLY = 2,
    FLUSH = 4,
    FUA = 8,
    TRIM = 32,
    ZEROES = 64,
    DF = 128,
    MULTI = 256,
    CACHE = 1024,
    FAST_ZERO = 2048
  };
  unsigned flags = HAS_FLAGS | FLUSH | FUA | CACHE | DF | (e->shared || !e->writable ? MULTI : 0);

  return (uint16_t) (flags | (e->writable ? TRIM | ZEROES | FAST_ZERO : READ_ONLY));
}

static bool
send_list (NbdConnection *c)
{
  for (guint i = 0; i < c->server->exports->len; i++)
    {
      const NbdExport *e = g_ptr_array_index (c->server->exports, i);
      g_autoptr (GByteArray) data = g_byte_array_new ();
      uint8_t len[4];
      vm_store_be32 (len, (uint32_t) strlen (e->name));
      g_byte_array_append (data, len, 4);
      g_byte_array_append (data, (const guint8 *) e->name, (guint) strlen (e->name));
      if (e->description)
        g_byte_array_append (data, (const guint8 *) e->description, (guint) strlen (e->description));
      if (!reply (c, OPT_LIST, REP_SERVER, data->data, data->len))
        return false;
    }
  return reply (c, OPT_LIST, REP_ACK, NULL, 0);
}

static bool
send_text_info (NbdConnection *c, uint32_t option, uint16_t kind, const char *text)
{
  g_autofree uint8_t *data = g_malloc (2 + strlen (text));

  vm_store_be16 (data, kind);
  memcpy (data + 2, text, strlen (text));
  return reply (c, option, REP_INFO, data, 2 + strlen (text));
}

static bool
send_infos (NbdConnection *c, uint32_t option, const NbdExport *e)
{
  uint8_t export[12], sizes[14];

  vm_store_be16 (sizes, INFO_BLOCK_SIZE);
  vm_store_be32 (sizes + 2, MIN_BLOCK);
  vm_store_be32 (sizes + 6, BEST_BLOCK);
  vm_store_be32 (sizes + 10, NBD_MAX_REQUEST);
  vm_store_be16 (export, INFO_EXPORT);
  vm_store_be64 (export + 2, e->root->node->size);
  vm_store_be16 (export + 10, transmission_flags (e));
  return send_text_info (c, option, INFO_NAME, e->name)
         && (!e->description || send_text_info (c, option, INFO_DESCRIPTION, e->description))
         && reply (c, option, REP_INFO, sizes, sizeof sizes) && reply (c, option, REP_INFO, export, sizeof export)
         && reply (c, option, REP_ACK, NULL, 0);
}

/* INFO, GO. *DONE: requests follow. */
static bool
opt_go (NbdConnection *c, uint32_t option, Reader *r, bool *done)
{
  uint32_t len = take_u32 (r);
  const uint8_t *name = take (r, len), *count = take (r, 2);
  NbdExport *e;

  if (!r->ok || r->left != 2u * vm_load_be16 (count))
    return refuse (c, option, REP_ERR_INVALID, "malformed option");
  e = nbd_find_export (c->server, (const char *) name, len);
  if (!e)
    return refuse (c, option, REP_ERR_UNKNOWN, "export not present");
  if (c->export != e)
    c->contexts = 0; /* were asked for another */
  c->export = e;
  *done = option == OPT_GO;
  return send_infos (c, option, e);
}

static bool
opt_export_name (NbdConnection *c, Reader *r)
{
  uint8_t data[10 + 124] = { 0 };

  c->export = nbd_find_export (c->server, (const char *) r->at, r->left);
  if (!c->export)
    return false; /* there is no other way to say so */
  vm_store_be64 (data, c->export->root->node->size);
  vm_store_be16 (data + 8, transmission_flags (c->export));
  return nbd_write (c, data, c->no_zeroes ? 10 : sizeof data);
}

/* --- contexts of block status ----------------------------------------------------------------------------------------
 */

static const char *
context_name (const NbdExport *e, unsigned id)
{
  return id == NBD_CONTEXT_ALLOCATION ? "base:allocation"
         : id == NBD_CONTEXT_DEPTH    ? "qemu:allocation-depth"
                                      : g_ptr_array_index (e->bitmap_names, id - NBD_CONTEXT_BITMAP);
}

/* Whether QUERY means this context; of a list, also by the beginning "base:" or "qemu:dirty-bitmap:". */
static bool
query_matches (const char *name, const char *query, size_t len, bool listing)
{
  if (strlen (name) == len && !memcmp (name, query, len))
    return true;
  return listing && len && query[len - 1] == ':' && strlen (name) > len && !memcmp (name, query, len);
}

static bool
send_context (NbdConnection *c, uint32_t option, unsigned id, const char *name)
{
  g_autofree uint8_t *data = g_malloc (4 + strlen (name));

  vm_store_be32 (data, option == OPT_SET_META_CONTEXT ? id : 0);
  memcpy (data + 4, name, strlen (name));
  return reply (c, option, REP_META_CONTEXT, data, 4 + strlen (name));
}

static bool
opt_meta_context (NbdConnection *c, uint32_t option, Reader *r)
{
  bool listing = option == OPT_LIST_META_CONTEXT;
  uint32_t len = take_u32 (r);
  const uint8_t *name = take (r, len);
  uint32_t n = take_u32 (r);
  uint64_t found = 0;

  if (!r->ok || n > r->left / 4)
    return refuse (c, option, REP_ERR_INVALID, "malformed option");
  if (!c->structured)
    return refuse (c, option, REP_ERR_INVALID, "structured replies come first");
  NbdExport *e = nbd_find_export (c->server, (const char *) name, len);
  if (!e)
    return refuse (c, option, REP_ERR_UNKNOWN, "export not present");
  unsigned contexts = NBD_CONTEXT_BITMAP + e->bitmaps->len;
  for (uint32_t i = 0; i < n; i++)
    {
      uint32_t query_len = take_u32 (r);
      const uint8_t *query = take (r, query_len);
      if (!r->ok)
        return refuse (c, option, REP_ERR_INVALID, "malformed option");
      for (unsigned id = 0; id < contexts; id++)
        if (query_matches (context_name (e, id), (const char *) query, query_len, listing))
          found |= UINT64_C (1) << id;
    }
  if (listing && !n)
    found = UINT64_MAX;
  if (!e->depth)
    found &= ~(UINT64_C (1) << NBD_CONTEXT_DEPTH);
  for (unsigned id = 0; id < contexts; id++)
    if (found & UINT64_C (1) << id && !send_context (c, option, id, context_name (e, id)))
      return false;
  if (!listing)
    {
      c->export = e;
      c->contexts = found & (contexts == 64 ? UINT64_MAX : (UINT64_C (1) << contexts) - 1);
    }
  return reply (c, option, REP_ACK, NULL, 0);
}

/* --- the conversation -----------------------------------------------------------------------------------------------
 */

static bool
take_option (NbdConnection *c, uint32_t option, Reader *r, bool *done)
{
  switch (option)
    {
    case OPT_EXPORT_NAME:
      *done = true;
      return opt_export_name (c, r);
    case OPT_ABORT:
      reply (c, option, REP_ACK, NULL, 0);
      return false;
    case OPT_LIST:
      return r->left ? refuse (c, option, REP_ERR_INVALID, "unexpected data") : send_list (c);
    case OPT_INFO:
    case OPT_GO:
      return opt_go (c, option, r, done);
    case OPT_STARTTLS:
      return refuse (c, option, REP_ERR_POLICY, "TLS not configured");
    case OPT_STRUCTURED_REPLY:
      if (r->left)
        return refuse (c, option, REP_ERR_INVALID, "unexpected data");
      c->structured = true;
      return reply (c, option, REP_ACK, NULL, 0);
    case OPT_LIST_META_CONTEXT:
    case OPT_SET_META_CONTEXT:
      return opt_meta_context (c, option, r);
    default:
      return refuse (c, option, REP_ERR_UNSUP, "unsupported option");
    }
}

static bool
skip (NbdConnection *c, uint32_t len)
{
  uint8_t sink[4096];

  for (; len; len -= MIN (len, sizeof sink))
    if (!nbd_read (c, sink, MIN (len, sizeof sink)))
      return false;
  return true;
}

bool
nbd_negotiate (NbdConnection *c)
{
  uint8_t greeting[18], flags[4], head[16];
  bool done = false;

  vm_store_be64 (greeting, MAGIC_INIT);
  vm_store_be64 (greeting + 8, MAGIC_OPTION);
  vm_store_be16 (greeting + 16, FLAG_FIXED | FLAG_NO_ZEROES);
  if (!nbd_write (c, greeting, sizeof greeting) || !nbd_read (c, flags, sizeof flags)
      || vm_load_be32 (flags) & ~(uint32_t) (FLAG_FIXED | FLAG_NO_ZEROES))
    return false;
  c->no_zeroes = vm_load_be32 (flags) & FLAG_NO_ZEROES;
  while (!done)
    {
      if (!nbd_read (c, head, sizeof head) || vm_load_be64 (head) != MAGIC_OPTION)
        return false;
      uint32_t option = vm_load_be32 (head + 8), len = vm_load_be32 (head + 12);
      if (len > NBD_MAX_OPTION)
        {
          if (option == OPT_EXPORT_NAME || !skip (c, len) || !refuse (c, option, REP_ERR_TOO_BIG, "option is too long"))
            return false;
          continue;
        }
      g_autofree uint8_t *data = g_malloc (len + 1);
      Reader r = { data, len, true };
      if (!nbd_read (c, data, len) || !take_option (c, option, &r, &done))
        return false;
    }
  return true;
}
