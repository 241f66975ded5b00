/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Generation identifier (Microsoft "Virtual Machine Generation ID"): a number that is another one in each copy of a
 * machine. Firmware places the page that holds it; ACPI tells where. */
#include "devices/acpi/acpi-tables.h"

#define PAGE_BYTES 4096

typedef struct VmGenId {
  VmDevice parent;
  char    *guid; /* property: "auto" or a UUID */
  uint8_t  address[8]; /* guest state: where firmware put the page */
} VmGenId;

static bool
guid_set (VmObject *obj, void *field, const char *text, GError **error)
{
  char **guid = field;

  if (strcmp (text, "auto") != 0 && !g_uuid_string_is_valid (text))
    return vm_fail (error, "Property 'vmgenid.guid' doesn't take value '%s'", text);
  g_free (*guid);
  *guid = strcmp (text, "auto") ? g_ascii_strdown (text, -1) : g_uuid_string_random ();
  return true;
}

static char *
guid_get (VmObject *obj, const void *field)
{
  return g_strdup (*(char *const *) field);
}

static void
guid_clear (VmObject *obj, void *field)
{
  g_clear_pointer ((char **) field, g_free);
}

static const VmPropCustom guid_prop = { .type_name = "str", .set = guid_set, .get = guid_get, .clear = guid_clear };

/* The first three groups are little-endian numbers. */
static void
put_guid (uint8_t out[16], const char *text)
{
  static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

  for (unsigned i = 0; i < 16; i++, text += 2)
    {
      if (*text == '-')
        text++;
      out[order[i]] = (uint8_t) (g_ascii_xdigit_value (text[0]) << 4 | g_ascii_xdigit_value (text[1]));
    }
}

static void
address_written (void *opaque, const uint8_t *data, size_t size)
{
  VmGenId *self = opaque;

  memcpy (self->address, data, MIN (size, sizeof self->address));
}

static bool
count_device (VmDevice *dev, void *opaque)
{
  return strcmp (dev->parent.type->name, "vmgenid") != 0 || !++*(unsigned *) opaque;
}

static bool
genid_realize (VmDevice *dev, GError **error)
{
  VmGenId *self = (VmGenId *) dev;
  VmFwCfg *fw = vm_fw_cfg_find (dev->env->machine);
  uint8_t page[PAGE_BYTES] = { 0 };
  unsigned others = 0;

  vm_device_foreach (dev->env->root, count_device, &others);
  if (others)
    return vm_fail (error, "at most one vmgenid device is permitted");
  if (!fw)
    return vm_fail (error, "vmgenid needs a machine with fw_cfg");
  put_guid (page + VM_ACPI_GENERATION_OFFSET, self->guid);
  return vm_fw_cfg_add_file (fw, VM_ACPI_GENERATION_FILE, page, sizeof page, error)
         && vm_fw_cfg_add_writable_file (fw, VM_ACPI_GENERATION_ADDR, self->address, sizeof self->address,
                                         address_written, self, error);
}

static const VmProp genid_props[] = {
  VM_PROP_CUSTOM_KIND ("guid", VmGenId, guid, &guid_prop, "auto", "the identifier; auto: a random one"),
  { 0 }
};

static const VmField genid_state[] = { VM_FIELD_ARRAY (VmGenId, address), { 0 } };

static const VmDeviceClass genid_class = { .realize = genid_realize, .category = "Misc", .user_creatable = true };

const VmType vm_genid_type = {
  .name = "vmgenid", .parent = &vm_device_type, .size = sizeof (VmGenId), .help = "Generation identifier",
  .props = genid_props, .state = genid_state, .klass = &genid_class,
};
