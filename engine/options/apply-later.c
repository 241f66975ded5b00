/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options whose back ends are not there yet: keys and values are checked as documented, then the line is explained.
 * What becomes available moves from here to a file of its own. */
#include "engine/options/documented.h"
#include "engine/options/options-private.h"

typedef struct Family
{
  const char *option;
  const char *like;     /* the option that documents the rest of the keys; NULL: none */
  const char *type_key; /* implied first key that selects the kind; NULL: there are no kinds */
  VmDialect dialect;
  const char *enum_error; /* see vm_documented_check() */
  const char *type_error; /* around the kind; NULL: "does not accept value" */
  const char *id_error;   /* NULL: "Parameter 'id' is missing"; "": needs none */
  const char *idle;     /* the kind that asks for nothing */
  const char *help;     /* the list that the kind "help" asks for; NULL: such a kind is not known */
} Family;

static const Family families[] = {
  { "netdev", NULL, "type", VM_DIALECT_VISITOR, NULL, NULL, NULL, NULL, "netdev" },
  { "nic", "netdev", "type", VM_DIALECT_VISITOR, NULL, NULL, "", "none", NULL },
  { "net", "netdev", "type", VM_DIALECT_VISITOR, NULL, NULL, "", "none", NULL },
  { "numa", NULL, "type", VM_DIALECT_VISITOR, NULL, NULL, "", NULL, NULL },
  { "blockdev", NULL, "driver", VM_DIALECT_SCHEMA, NULL, NULL, "", NULL, NULL },
  { "audiodev", NULL, "driver", VM_DIALECT_SCHEMA, NULL, NULL, NULL, NULL, "audiodev" },
  { "audio", "audiodev", "driver", VM_DIALECT_SCHEMA, "Unknown sound card name `%v'", NULL, "", NULL, "audiodev" },
  { "fsdev", NULL, "fsdriver", VM_DIALECT_OLD, "invalid %k property '%v'", "fsdev: fsdriver @ not found",
    "fsdev: No id specified", NULL, NULL },
  { "virtfs", NULL, "fsdriver", VM_DIALECT_OLD, "invalid %k property '%v'", "fsdev: fsdriver @ not found", "", NULL,
    NULL },
  { "tpmdev", NULL, "type", VM_DIALECT_OLD, NULL,
    "Parameter 'type' expects a TPM backend type\nSupported TPM types (choose only one):\n"
    " passthrough   Passthrough TPM backend driver\n    emulator   TPM emulator backend driver",
    NULL, NULL, "tpmdev" },
  { "iscsi", NULL, NULL, VM_DIALECT_OLD, "", NULL, "", NULL, NULL },
  { "spice", NULL, NULL, VM_DIALECT_OLD, "invalid %k: %v", NULL, "", NULL, NULL },
};

static const Family *
find_family (const char *option)
{
  for (size_t i = 0; i < G_N_ELEMENTS (families); i++)
    if (!strcmp (families[i].option, option))
      return &families[i];
  return NULL;
}

/* Kinds without keys of their own stand among the values; some are another's twin. */
static const char *
row_of_kind (const char *kind)
{
  static const char *const twins[][2]
      = { { "null-aio", "null-co" }, { "https", "http" }, { "ftp", "http" }, { "ftps", "http" } };

  for (size_t i = 0; i < G_N_ELEMENTS (twins); i++)
    if (!strcmp (kind, twins[i][0]))
      return twins[i][1];
  return kind;
}

static bool
has_row (const char *option, const char *kind)
{
  g_autofree char *name = g_strdup_printf ("%s %s", option, kind);

  for (const VmOptionKey *k = vm_option_rows; k->option; k++)
    if (!strcmp (k->option, name))
      return true;
  return false;
}

static bool
kind_is_known (const Family *f, const char *kind)
{
  static const char *const other_hosts[]
      = { "vmnet-host", "vmnet-shared", "vmnet-bridged", "coreaudio", "dsound", "help", NULL };
  const char *const options[] = { f->option, f->like, NULL };

  if (g_strv_contains (other_hosts, kind))
    return false;
  for (size_t i = 0; options[i]; i++)
    {
      const VmOptionKey *row = vm_documented_key (&options[i], f->type_key);
      g_auto (GStrv) words = row ? vm_documented_words (row->values) : NULL;
      if (has_row (options[i], row_of_kind (kind)) || (words && g_strv_contains ((const char *const *) words, kind)))
        return true;
    }
  return false;
}

static bool
refuse_kind (const Family *f, const char *kind, GError **error)
{
  if (!f->type_error)
    return vm_fail (error, "Parameter '%s' does not accept value '%s'", f->type_key, kind);
  const char *mark = strchr (f->type_error, '@');
  if (!mark)
    return vm_fail (error, "%s", f->type_error);
  return vm_fail (error, "%.*s%s%s", (int) (mark - f->type_error), f->type_error, kind, mark + 1);
}

static bool
check_id (VmParser *p, const Family *f, const VmKeyVals *list, GError **error)
{
  const char *id = vm_keyvals_get (list, "id");

  if (!id && !f->id_error)
    return vm_fail (error, "Parameter 'id' is missing");
  if (!id && *f->id_error)
    return vm_fail (error, "%s", f->id_error);
  return !id || vm_parser_claim_id (p, f->option, id, error);
}

static bool
check_node_name (VmParser *p, const VmKeyVals *list, GError **error)
{
  const char *name = vm_keyvals_get (list, "node-name");

  if (!name)
    return vm_fail (error, "'node-name' must be specified for the root node");
  if (!vm_id_well_formed (name))
    return vm_fail (error, "Invalid node-name: '%s'", name);
  return vm_parser_claim_id (p, "node", name, NULL) || vm_fail (error, "Duplicate nodes with node-name='%s'", name);
}

static bool
check_keys (const Family *f, const char *kind, const VmKeyVals *list, bool json, GError **error)
{
  g_autofree char *own = g_strdup_printf ("%s %s", f->option, row_of_kind (kind));
  g_autofree char *other = g_strdup_printf ("%s %s", f->like ? f->like : "", row_of_kind (kind));
  const char *const options[]
      = { f->option, own, f->like ? other : NULL, !strcmp (f->option, "audio") ? f->like : NULL, NULL };
  VmDialect dialect = json ? VM_DIALECT_SCHEMA : f->dialect;
  g_autoptr (VmKeyVals) rest = vm_keyvals_copy (list);

  if (f->type_key)
    vm_keyvals_remove (rest, f->type_key);
  return vm_documented_check (rest, options, dialect, f->enum_error, error)
         && vm_documented_check_required (list, own, !f->id_error, error)
         && (!f->like || vm_documented_check_required (list, other, false, error));
}

static bool
check_fsdev (const Family *f, const char *kind, const VmKeyVals *list, GError **error)
{
  if (!strcmp (f->option, "virtfs") && !vm_keyvals_has (list, "mount_tag"))
    return vm_fail (error, "Usage: -virtfs fsdriver,mount_tag=tag");
  if (!strcmp (kind, "local") && !vm_keyvals_has (list, "security_model"))
    return vm_fail (error, "security_model property not set\n"
                           "Valid options are: security_model=[passthrough|mapped-xattr|mapped-file|none]");
  return true;
}

static bool
read_list (VmParser *p, const Family *f, VmKeyVals *list, const char *arg, GError **error)
{
  static const char *const with_json[] = { "netdev", "blockdev", "audiodev", NULL };

  if (*arg == '{' && g_strv_contains (with_json, f->option))
    return vm_keyvals_parse_json (list, arg, error);
  return vm_parser_list (p, list, arg, f->type_key, f->dialect == VM_DIALECT_SCHEMA ? VM_KEYVALS_STRICT : 0, error);
}

/* Its rules need the board, its processors and the memory objects. */
static bool
keep_numa (VmParser *p, const VmKeyVals *list)
{
  VmNumaSpec *spec = g_new0 (VmNumaSpec, 1);

  spec->options = vm_keyvals_copy (list);
  spec->text = g_strdup (p->typed);
  g_ptr_array_add (p->s->numa, spec);
  return true;
}

static bool
keep_blockdev (VmParser *p, const VmKeyVals *list, const char *arg)
{
  VmBlockdevSpec *spec = g_new0 (VmBlockdevSpec, 1);

  spec->options = vm_keyvals_copy (list);
  spec->json = *arg == '{' ? g_strdup (arg) : NULL;
  spec->text = g_strdup (p->typed);
  g_ptr_array_add (p->s->blockdevs, spec);
  return true;
}

const VmSoundModel vm_sound_models[] = {
  { "ac97", "AC97", NULL, "Intel 82801AA AC97 Audio" },
  { "adlib", "adlib", NULL, "Yamaha YM3812 (OPL2)" },
  { "cs4231a", "cs4231a", NULL, "CS4231A" },
  { "es1370", "ES1370", NULL, "ENSONIQ AudioPCI ES1370" },
  { "gus", "gus", NULL, "Gravis Ultrasound GF1" },
  { "hda", "intel-hda", "hda-duplex", "Intel HD Audio" },
  { "sb16", "sb16", NULL, "Creative Sound Blaster 16" },
  { "virtio", "virtio-sound-pci", NULL, "Virtio Sound" },
  { 0 },
};

static void
add_sound_device (VmParser *p, const char *driver, const char *audiodev)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  vm_keyvals_add (list, "driver", driver);
  if (audiodev)
    vm_keyvals_add (list, "audiodev", audiodev);
  g_ptr_array_add (p->s->devices, vm_device_spec_new (list, "driver", p->typed));
}

/* A back end; with a model also the card that uses it. */
static bool
keep_audio (VmParser *p, const Family *f, const VmKeyVals *list, const char *arg)
{
  VmAudioSpec *spec = g_new0 (VmAudioSpec, 1);
  const char *model = vm_keyvals_get (list, "model");

  spec->shorthand = !strcmp (f->option, "audio");
  spec->options = vm_keyvals_copy (list);
  spec->json = *arg == '{' ? g_strdup (arg) : NULL;
  spec->text = g_strdup (p->typed);
  for (unsigned n = 0; !vm_keyvals_has (spec->options, "id"); n++)
    {
      g_autofree char *id = g_strdup_printf ("audiodev%u", n);
      if (vm_parser_claim_id (p, "audiodev", id, NULL))
        vm_keyvals_add (spec->options, "id", id);
    }
  g_ptr_array_add (p->s->audios, spec);
  for (const VmSoundModel *m = vm_sound_models; spec->shorthand && model && m->name; m++)
    if (!strcmp (m->name, model))
      {
        const char *id = vm_keyvals_get (spec->options, "id");
        add_sound_device (p, m->driver, m->codec ? NULL : id);
        if (m->codec)
          add_sound_device (p, m->codec, id);
      }
  return true;
}

/* Several are one; of channels each is meant. */
static bool
keep_spice (VmParser *p, const VmKeyVals *list)
{
  if (!p->s->spice)
    p->s->spice = vm_keyvals_new ();
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      vm_keyvals_add (p->s->spice, pair->key, pair->value);
    }
  return true;
}

static bool
keep_net (VmParser *p, const Family *f, const char *kind, const VmKeyVals *list, const char *arg)
{
  VmNetSpec *spec = g_new0 (VmNetSpec, 1);

  spec->option = !strcmp (f->option, "netdev") ? VM_NET_SPEC_NETDEV
                 : !strcmp (f->option, "nic")  ? VM_NET_SPEC_NIC
                                               : VM_NET_SPEC_NET;
  spec->options = vm_keyvals_copy (list);
  vm_keyvals_set (spec->options, "type", kind);
  spec->json = *arg == '{' ? g_strdup (arg) : NULL;
  spec->text = g_strdup (p->typed);
  g_ptr_array_add (p->s->nets, spec);
  return true;
}

static bool
check_family (VmParser *p, const Family *f, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  bool is_fs = g_str_has_suffix (f->type_key ? f->type_key : "", "fsdriver");

  if (!read_list (p, f, list, arg, error))
    return false;
  const char *kind = f->type_key ? vm_keyvals_get (list, f->type_key) : "";
  const char *model = vm_keyvals_get (list, "model");
  if (kind && f->help && vm_parser_is_help (kind))
    return vm_parser_want_help (p, f->help, NULL);
  if (kind && !strcmp (f->option, "blockdev") && vm_parser_is_help (kind))
    return vm_fail (error, "Help is not available for this option");
  if (model && !strcmp (f->option, "audio") && vm_parser_is_help (model))
    return vm_parser_want_help (p, "audio-model", NULL);
  if (model && (!strcmp (f->option, "nic") || !strcmp (f->option, "net")) && vm_parser_is_help (model))
    return vm_parser_want_help (p, "nic-model", NULL);
  if (!strcmp (f->option, "net") && !kind && vm_keyvals_has (list, "netdev"))
    kind = "nic";
  if (!strcmp (f->option, "nic") && !kind)
    kind = "user";
  if (is_fs && !check_id (p, f, list, error))
    return false;
  if (!kind)
    return vm_fail (error, "Parameter '%s' is missing", f->type_key);
  if (f->dialect == VM_DIALECT_OLD && !is_fs && !check_id (p, f, list, error))
    return false;
  if (f->type_key && !kind_is_known (f, kind))
    return refuse_kind (f, kind, error);
  if (f->dialect != VM_DIALECT_OLD && !check_id (p, f, list, error))
    return false;
  if (is_fs && !check_fsdev (f, kind, list, error))
    return false;
  if (!check_keys (f, kind, list, *arg == '{', error))
    return false;
  if (!strcmp (f->option, "blockdev") && !check_node_name (p, list, error))
    return false;
  if (!strcmp (f->option, "nic") || !strcmp (f->option, "net") || !strcmp (f->option, "netdev"))
    {
      p->s->default_nic = false;
      return (f->idle && !strcmp (f->idle, kind)) || keep_net (p, f, kind, list, arg);
    }
  if (!strcmp (f->option, "numa"))
    return keep_numa (p, list);
  if (!strcmp (f->option, "iscsi"))
    {
      g_ptr_array_add (p->s->iscsi, vm_keyvals_copy (list));
      return true;
    }
  if (!strcmp (f->option, "blockdev"))
    return keep_blockdev (p, list, arg);
  if (!strcmp (f->option, "audiodev") || !strcmp (f->option, "audio"))
    return keep_audio (p, f, list, arg);
  if (!strcmp (f->option, "spice"))
    return keep_spice (p, list);
  return vm_parser_unavailable (p);
}

static bool
apply_family (VmParser *p, const char *arg, GError **error)
{
  return check_family (p, find_family (p->name_of_option), arg, error);
}

bool
vm_parser_check_display (VmParser *p, const char *type, const VmKeyVals *list, GError **error)
{
  g_autofree char *own = g_strdup_printf ("display %s", type);
  const char *const options[] = { "display", own, NULL };
  g_autoptr (VmKeyVals) rest = vm_keyvals_copy (list);

  vm_keyvals_remove (rest, "type");
  return vm_documented_check (rest, options, VM_DIALECT_SCHEMA, NULL, error);
}

bool
vm_parser_check_chardev (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_keyvals_parse (list, arg, "backend", 0, error))
    return false;
  const char *id = vm_keyvals_get (list, "id");
  return !id || !vm_id_well_formed (id) || vm_parser_claim_id (p, "chardev", id, error);
}

/* --- those with a form of their own --- */

bool
vm_parser_check_vnc (VmParser *p, const char *arg, GError **error)
{
  static const char *const options[] = { "vnc", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, "vnc", 0, error))
    return false;
  g_autoptr (VmKeyVals) rest = vm_keyvals_copy (list);
  const char *where = vm_keyvals_get (list, "vnc");
  vm_keyvals_remove (rest, "vnc");
  if (!vm_documented_check (rest, options, VM_DIALECT_OLD, "unknown vnc %k= option", error))
    return false;
  if (!where || (strcmp (where, "none") != 0 && !strchr (where, ':')))
    return vm_fail (error, "no vnc port specified");
  g_ptr_array_add (p->s->vncs, vm_vnc_spec_new (list, p->typed));
  return true;
}

static bool
apply_usbdevice (VmParser *p, const char *arg, GError **error)
{
  static const char *const options[] = { "usbdevice", NULL };

  return vm_documented_key (options, arg) ? vm_parser_unavailable (p)
                                          : vm_fail (error, "could not add USB device '%s'", arg);
}

static bool
apply_icount (VmParser *p, const char *arg, GError **error)
{
  static const char *const options[] = { "icount", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  uint64_t shift = 0;

  if (!vm_parser_list (p, list, arg, "shift", 0, error))
    return false;
  if (!vm_documented_check (list, options, VM_DIALECT_OLD, "", error))
    return false;
  const char *text = vm_keyvals_get (list, "shift"), *rr = vm_keyvals_get (list, "rr");
  bool align = false, sleep = true;
  if (!vm_keyvals_bool (list, "align", &align, error) || !vm_keyvals_bool (list, "sleep", &sleep, error))
    return false;
  if (!text)
    return !vm_keyvals_has (list, "align") || vm_fail (error, "Please specify shift option when using align");
  if (strcmp (text, "auto") != 0 && (!vm_keyvals_uint (list, "shift", &shift, 10, NULL)))
    return vm_fail (error, "icount: Invalid shift value");
  if (align && !sleep)
    return vm_fail (error, "align=on and sleep=off are incompatible");
  if (!strcmp (text, "auto") && !sleep)
    return vm_fail (error, "shift=auto and sleep=off are incompatible");
  if (rr && strcmp (rr, "record") != 0 && strcmp (rr, "replay") != 0)
    return vm_fail (error, "Invalid icount rr option: %s", rr);
  if (rr && !vm_keyvals_has (list, "rrfile"))
    return vm_fail (error, "File name not specified for replay");
  if (rr || vm_keyvals_has (list, "rrfile") || vm_keyvals_has (list, "rrsnapshot"))
    return vm_parser_unavailable (p);
  p->s->icount = true;
  p->s->icount_auto = !strcmp (text, "auto");
  p->s->icount_shift = shift;
  p->s->icount_align = align;
  p->s->icount_sleep = sleep;
  return true;
}

static bool
apply_incoming (VmParser *p, const char *arg, GError **error)
{
  static const char *const schemes[] = { "tcp:", "rdma:", "unix:", "fd:", "file:", "exec:" };

  p->incoming = true;
  if (!strcmp (arg, "defer"))
    return vm_parser_unavailable (p);
  for (size_t i = 0; i < G_N_ELEMENTS (schemes); i++)
    if (g_str_has_prefix (arg, schemes[i]))
      {
        if (i < 2 && !strchr (arg + strlen (schemes[i]), ':'))
          return vm_fail (error, "error parsing address '%s'", arg + strlen (schemes[i]));
        return vm_parser_unavailable (p);
      }
  return vm_fail (error, "unknown migration protocol: %s", arg);
}

static bool
apply_loadvm (VmParser *p, const char *arg, GError **error)
{
  g_free (p->s->loadvm);
  p->s->loadvm = g_strdup (arg);
  return true;
}

static bool
apply_plugin (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, "file", 0, error))
    return false;
  if (!vm_keyvals_has (list, "file"))
    return vm_fail (error, "-plugin needs file=");
  VmPluginSpec *plugin = g_new0 (VmPluginSpec, 1);
  g_autoptr (GStrvBuilder) args = g_strv_builder_new ();
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *kv = g_ptr_array_index (list->pairs, i);
      g_autofree char *text = g_strdup_printf ("%s=%s", kv->key, kv->value);
      if (!strcmp (kv->key, "file"))
        continue;
      g_strv_builder_add (args, text);
    }
  plugin->file = g_strdup (vm_keyvals_get (list, "file"));
  plugin->args = g_strv_builder_end (args);
  g_ptr_array_add (p->s->plugins, plugin);
  return true;
}

static bool
apply_later (VmParser *p, const char *arg, GError **error)
{
  return vm_parser_unavailable (p);
}

static bool
apply_vnc (VmParser *p, const char *arg, GError **error)
{
  return vm_parser_check_vnc (p, arg, error);
}

/* Of a host this program does not know. */
static bool
apply_xen (VmParser *p, const char *arg, GError **error)
{
  return vm_fail (error, "Option not supported for this target");
}

const VmApply vm_apply_later[] = { { "netdev", apply_family },
                                   { "nic", apply_family },
                                   { "net", apply_family },
                                   { "numa", apply_family },
                                   { "blockdev", apply_family },
                                   { "audiodev", apply_family },
                                   { "audio", apply_family },
                                   { "fsdev", apply_family },
                                   { "virtfs", apply_family },
                                   { "tpmdev", apply_family },
                                   { "iscsi", apply_family },
                                   { "spice", apply_family },
                                   { "vnc", apply_vnc },
                                   { "usbdevice", apply_usbdevice },
                                   { "icount", apply_icount },
                                   { "incoming", apply_incoming },
                                   { "loadvm", apply_loadvm },
                                   { "plugin", apply_plugin },
                                   { "audio-help", apply_later },
                                   { "portrait", apply_later },
                                   { "rotate", apply_later },
                                   { "enable-sync-profile", apply_later },
                                   { "perfmap", apply_later },
                                   { "jitdump", apply_later },
                                   { "dump-vmstate", apply_later },
                                   { "xen-domid", apply_xen },
                                   { "xen-attach", apply_xen },
                                   { "xen-domid-restrict", apply_xen },
                                   { 0 } };
