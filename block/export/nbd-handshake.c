/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NBD server: the fixed newstyle handshake. */
#include "block/export/nbd-private.h"

#include "engine/crypto/authz.h"

#define MIN_BLOCK 1
#define BEST_BLOCK 4096

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

  vm_store_be64 (head, NBD_MAGIC_OPTION_REPLY);
  vm_store_be32 (head + 8, option);
  vm_store_be32 (head + 12, type);
  vm_store_be32 (head + 16, (uint32_t) len);
  return vm_stream_write (&c->stream, head, sizeof head) && vm_stream_write (&c->stream, data, len);
}

static bool
refuse (NbdConnection *c, uint32_t option, uint32_t type, const char *why)
{
  return reply (c, option, type, why, strlen (why));
}

static uint16_t
transmission_flags (const NbdConnection *c, const NbdExport *e)
{
  unsigned flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_FUA | NBD_SEND_CACHE;

  if (c->structured)
    flags |= NBD_SEND_DF;
  /* All clients see one node, and a flush is one of all that was written. */
  if (c->server->options.limit != 1)
    flags |= NBD_CAN_MULTI_CONN;
  flags |= e->parent.writable ? NBD_SEND_TRIM | NBD_SEND_WRITE_ZEROES | NBD_SEND_FAST_ZERO : NBD_READ_ONLY;
  return (uint16_t) flags;
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
      if (!reply (c, NBD_OPT_LIST, NBD_REP_SERVER, data->data, data->len))
        return false;
    }
  return reply (c, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

static bool
send_text_info (NbdConnection *c, uint32_t option, uint16_t kind, const char *text)
{
  g_autofree uint8_t *data = g_malloc (2 + strlen (text));

  vm_store_be16 (data, kind);
  memcpy (data + 2, text, strlen (text));
  return reply (c, option, NBD_REP_INFO, data, 2 + strlen (text));
}

static bool
send_infos (NbdConnection *c, uint32_t option, const NbdExport *e)
{
  uint8_t export[12], sizes[14];

  vm_store_be16 (sizes, NBD_INFO_BLOCK_SIZE);
  vm_store_be32 (sizes + 2, MIN_BLOCK);
  vm_store_be32 (sizes + 6, BEST_BLOCK);
  vm_store_be32 (sizes + 10, NBD_MAX_REQUEST);
  vm_store_be16 (export, NBD_INFO_EXPORT);
  vm_store_be64 (export + 2, e->parent.root->node->size);
  vm_store_be16 (export + 10, transmission_flags (c, e));
  return send_text_info (c, option, NBD_INFO_NAME, e->name)
         && (!e->description || send_text_info (c, option, NBD_INFO_DESCRIPTION, e->description))
         && reply (c, option, NBD_REP_INFO, sizes, sizeof sizes)
         && reply (c, option, NBD_REP_INFO, export, sizeof export) && reply (c, option, NBD_REP_ACK, NULL, 0);
}

static void
set_export (NbdConnection *c, NbdExport *e)
{
  if (c->export == e)
    return;
  if (e)
    vm_export_ref (&e->parent);
  if (c->export)
    vm_export_unref (&c->export->parent);
  c->export = e;
  c->contexts = 0; /* were asked for of another */
}

/* INFO, GO. *DONE: requests follow. */
static bool
opt_go (NbdConnection *c, uint32_t option, Reader *r, bool *done)
{
  uint32_t len = take_u32 (r);
  const uint8_t *name = take (r, len), *count = take (r, 2);
  NbdExport *e;

  if (!r->ok || r->left != 2u * vm_load_be16 (count))
    return refuse (c, option, NBD_REP_ERR_INVALID, "malformed option");
  e = nbd_find_export (c->server, (const char *) name, len);
  if (!e)
    return refuse (c, option, NBD_REP_ERR_UNKNOWN, "export not present");
  set_export (c, e);
  *done = option == NBD_OPT_GO;
  return send_infos (c, option, e);
}

static bool
opt_export_name (NbdConnection *c, Reader *r)
{
  uint8_t data[10 + 124] = { 0 };

  set_export (c, nbd_find_export (c->server, (const char *) r->at, r->left));
  if (!c->export)
    return false; /* there is no other way to say so */
  vm_store_be64 (data, c->export->parent.root->node->size);
  vm_store_be16 (data + 8, transmission_flags (c, c->export));
  return vm_stream_write (&c->stream, data, c->no_zeroes ? 10 : sizeof data);
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

  vm_store_be32 (data, option == NBD_OPT_SET_META_CONTEXT ? id : 0);
  memcpy (data + 4, name, strlen (name));
  return reply (c, option, NBD_REP_META_CONTEXT, data, 4 + strlen (name));
}

static bool
opt_meta_context (NbdConnection *c, uint32_t option, Reader *r)
{
  bool listing = option == NBD_OPT_LIST_META_CONTEXT;
  uint32_t len = take_u32 (r);
  const uint8_t *name = take (r, len);
  uint32_t n = take_u32 (r);
  uint64_t found = 0;

  if (!r->ok || n > r->left / 4)
    return refuse (c, option, NBD_REP_ERR_INVALID, "malformed option");
  if (!c->structured)
    return refuse (c, option, NBD_REP_ERR_INVALID, "structured replies come first");
  NbdExport *e = nbd_find_export (c->server, (const char *) name, len);
  if (!e)
    return refuse (c, option, NBD_REP_ERR_UNKNOWN, "export not present");
  unsigned contexts = NBD_CONTEXT_BITMAP + e->bitmaps->len;
  for (uint32_t i = 0; i < n; i++)
    {
      uint32_t query_len = take_u32 (r);
      const uint8_t *query = take (r, query_len);
      if (!r->ok)
        return refuse (c, option, NBD_REP_ERR_INVALID, "malformed option");
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
      set_export (c, e);
      c->contexts = found & (contexts == 64 ? UINT64_MAX : (UINT64_C (1) << contexts) - 1);
    }
  return reply (c, option, NBD_REP_ACK, NULL, 0);
}

/* --- the conversation -----------------------------------------------------------------------------------------------
 */

/* Objects belong to another loop, which at times waits for this one: a question is answered or given up, whichever
 * comes first. */
typedef struct NbdQuestion
{
  VmFiber *fiber;
  VmObject *root;
  char *authz, *peer;
  bool allowed;
  gint settled, refs;
} NbdQuestion;

static void
question_unref (NbdQuestion *q)
{
  if (!g_atomic_int_dec_and_test (&q->refs))
    return;
  g_free (q->authz);
  g_free (q->peer);
  g_free (q);
}

static void
answer (void *opaque)
{
  NbdQuestion *q = opaque;

  if (!g_atomic_int_get (&q->settled))
    {
      bool allowed = vm_authz_check (q->root, q->authz, q->peer, NULL); /* a client that is refused is told nothing */
      if (g_atomic_int_compare_and_exchange (&q->settled, 0, 1))
        {
          q->allowed = allowed;
          vm_fiber_wake (q->fiber);
        }
    }
  question_unref (q);
}

void
nbd_give_up_question (NbdConnection *c)
{
  if (c->question && g_atomic_int_compare_and_exchange (&c->question->settled, 0, 1))
    vm_fiber_wake (c->question->fiber);
}

static bool
may_come (NbdConnection *c)
{
  const VmNbdServerOptions *o = &c->server->options;
  const char *peer = vm_tls_session_peer (c->stream.tls);

  if (!o->authz || !peer)
    return !o->authz;
  NbdQuestion *q = g_new0 (NbdQuestion, 1);
  *q = (NbdQuestion){ .fiber = vm_fiber_self (),
                      .root = vm_object_root ((VmObject *) o->creds),
                      .authz = g_strdup (o->authz),
                      .peer = g_strdup (peer),
                      .refs = 2 };
  if (o->authz_loop)
    {
      c->question = q;
      vm_loop_post (o->authz_loop, answer, q);
      vm_fiber_suspend ();
      c->question = NULL;
    }
  else
    {
      q->allowed = vm_authz_check (q->root, q->authz, q->peer, NULL);
      question_unref (q);
    }
  bool allowed = q->allowed;
  question_unref (q);
  return allowed;
}

static bool
opt_starttls (NbdConnection *c, const Reader *r)
{
  const VmNbdServerOptions *o = &c->server->options;
  g_autoptr (GError) error = NULL;

  if (r->left)
    return refuse (c, NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID, "unexpected data");
  if (!o->creds)
    return refuse (c, NBD_OPT_STARTTLS, NBD_REP_ERR_POLICY, "TLS not configured");
  if (c->stream.tls)
    return refuse (c, NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID, "TLS already enabled");
  return reply (c, NBD_OPT_STARTTLS, NBD_REP_ACK, NULL, 0)
         && vm_stream_start_tls (&c->stream, o->creds, NULL, &error) /* the client is told by TLS */
         && may_come (c);
}

/* Before TLS, where that is wanted. */
static bool
take_option_in_the_clear (NbdConnection *c, uint32_t option, Reader *r)
{
  switch (option)
    {
    case NBD_OPT_STARTTLS:
      return opt_starttls (c, r);
    case NBD_OPT_EXPORT_NAME:
      return false; /* there is no other way to say so */
    case NBD_OPT_ABORT:
      reply (c, option, NBD_REP_ACK, NULL, 0);
      return false;
    default:
      return refuse (c, option, NBD_REP_ERR_TLS_REQD, "Option not permitted before TLS");
    }
}

static bool
take_option (NbdConnection *c, uint32_t option, Reader *r, bool *done)
{
  if (c->server->options.creds && !c->stream.tls)
    return take_option_in_the_clear (c, option, r);
  switch (option)
    {
    case NBD_OPT_EXPORT_NAME:
      *done = true;
      return opt_export_name (c, r);
    case NBD_OPT_ABORT:
      reply (c, option, NBD_REP_ACK, NULL, 0);
      return false;
    case NBD_OPT_LIST:
      return r->left ? refuse (c, option, NBD_REP_ERR_INVALID, "unexpected data") : send_list (c);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
      return opt_go (c, option, r, done);
    case NBD_OPT_STARTTLS:
      return opt_starttls (c, r);
    case NBD_OPT_STRUCTURED_REPLY:
      if (r->left)
        return refuse (c, option, NBD_REP_ERR_INVALID, "unexpected data");
      c->structured = true;
      return reply (c, option, NBD_REP_ACK, NULL, 0);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
      return opt_meta_context (c, option, r);
    default:
      return refuse (c, option, NBD_REP_ERR_UNSUP, "unsupported option");
    }
}

bool
nbd_negotiate (NbdConnection *c)
{
  uint8_t greeting[18], flags[4], head[16];
  bool done = false;

  vm_store_be64 (greeting, NBD_MAGIC_INIT);
  vm_store_be64 (greeting + 8, NBD_MAGIC_OPTION);
  vm_store_be16 (greeting + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
  if (!vm_stream_write (&c->stream, greeting, sizeof greeting) || !vm_stream_read (&c->stream, flags, sizeof flags)
      || vm_load_be32 (flags) & ~(uint32_t) (NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
    return false;
  c->no_zeroes = vm_load_be32 (flags) & NBD_NO_ZEROES;
  while (!done)
    {
      if (!vm_stream_read (&c->stream, head, sizeof head) || vm_load_be64 (head) != NBD_MAGIC_OPTION)
        return false;
      uint32_t option = vm_load_be32 (head + 8), len = vm_load_be32 (head + 12);
      if (len > NBD_MAX_OPTION)
        {
          if (option == NBD_OPT_EXPORT_NAME || !vm_stream_skip (&c->stream, len)
              || !refuse (c, option, NBD_REP_ERR_TOO_BIG, "option is too long"))
            return false;
          continue;
        }
      g_autofree uint8_t *data = g_malloc (len + 1);
      Reader r = { data, len, true };
      if (!vm_stream_read (&c->stream, data, len) || !take_option (c, option, &r, &done))
        return false;
    }
  return true;
}
