/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What there is to say of a qcow2 image, as ImageInfoSpecificQCow2 of the schema. */
#include "block/qcow2/qcow2-private.h"

static void
add_bool (json_object *to, const char *name, bool value)
{
  json_object_object_add (to, name, json_object_new_boolean (value));
}

static void
add_text (json_object *to, const char *name, const char *value)
{
  json_object_object_add (to, name, json_object_new_string (value));
}

static json_object *
describe_bitmaps (const Qcow2 *s)
{
  static const struct
  {
    uint32_t flag;
    const char *name;
  } flags[] = { { BITMAP_IN_USE, "in-use" }, { BITMAP_AUTO, "auto" } };
  json_object *list = json_object_new_array ();

  for (guint i = 0; i < s->bitmaps->len; i++)
    {
      const Qcow2Bitmap *b = s->bitmaps->pdata[i];
      json_object *one = json_object_new_object (), *names = json_object_new_array ();

      for (unsigned k = 0; k < G_N_ELEMENTS (flags); k++)
        if (b->flags & flags[k].flag)
          json_object_array_add (names, json_object_new_string (flags[k].name));
      json_object_object_add (one, "flags", names);
      add_text (one, "name", b->name);
      json_object_object_add (one, "granularity", json_object_new_int64 (INT64_C (1) << b->granularity_bits));
      json_object_array_add (list, one);
    }
  return list;
}

json_object *
qcow2_describe (VmNode *node)
{
  Qcow2 *s = node->state;
  json_object *out = json_object_new_object (), *data = json_object_new_object (), *encrypt = qcow2_crypt_describe (s);

  add_text (data, "compat", s->version == 2 ? "0.10" : "1.1");
  add_text (data, "compression-type", s->compression ? "zstd" : "zlib");
  if (s->version >= 3)
    {
      add_bool (data, "lazy-refcounts", s->compatible & COMPATIBLE_LAZY);
      if (s->bitmaps && s->bitmaps->len)
        json_object_object_add (data, "bitmaps", describe_bitmaps (s));
      json_object_object_add (data, "refcount-bits", json_object_new_int (1 << s->refcount_order));
      if (encrypt)
        json_object_object_add (data, "encrypt", encrypt);
      if (s->data_name && qcow2_external (s))
        add_text (data, "data-file", s->data_name);
      if (qcow2_external (s))
        add_bool (data, "data-file-raw", s->autoclear & AUTOCLEAR_RAW);
      add_bool (data, "corrupt", s->incompatible & INCOMPATIBLE_CORRUPT);
      add_bool (data, "extended-l2", s->sub_n == 32);
    }
  else
    {
      json_object_object_add (data, "refcount-bits", json_object_new_int (16));
      if (encrypt)
        json_object_object_add (data, "encrypt", encrypt);
    }
  add_text (out, "type", "qcow2");
  json_object_object_add (out, "data", data);
  return out;
}
