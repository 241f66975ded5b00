/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Types as const tables, objects, properties and the object tree.
 *
 * A type is described by data: describing it (help, introspection, defaults) never runs its code.
 * Stages of an object: init (defaults; cannot fail) -> set properties -> realize (may fail, undoes what
 * it did) -> reset -> unrealize -> free. Properties freeze at realize unless marked VM_PROP_RUNTIME. */
#pragma once

#include "engine/base/base.h"

typedef struct VmType   VmType;
typedef struct VmObject VmObject;
typedef struct VmProp   VmProp;
typedef struct VmField  VmField;

/* --- properties ------------------------------------------------------------------------------ */

typedef enum VmPropKind {
  VM_PROP_END,
  VM_PROP_BOOL,
  VM_PROP_U8,
  VM_PROP_U16,
  VM_PROP_U32,
  VM_PROP_U64,
  VM_PROP_I32,
  VM_PROP_I64,
  VM_PROP_SIZE,   /* uint64_t, accepts suffixes */
  VM_PROP_STR,    /* char *, owned */
  VM_PROP_ONOFFAUTO, /* VmOnOffAuto */
  VM_PROP_ENUM,   /* int, named by .names */
  VM_PROP_BIT,    /* one bit of a uint32_t or uint64_t */
  VM_PROP_LINK,   /* VmObject *, by path or id, of type .link_type; holds a reference */
  VM_PROP_CUSTOM, /* get and set below: chardev, drive, netdev, mac, pci-devfn ... */
  VM_PROP_EMBED,  /* the table of a struct inside this one */
} VmPropKind;

typedef enum VmOnOffAuto { VM_ONOFFAUTO_AUTO, VM_ONOFFAUTO_ON, VM_ONOFFAUTO_OFF } VmOnOffAuto;

typedef enum VmPropFlags {
  VM_PROP_RUNTIME  = 1 << 0, /* may be set after realize; .changed is told */
  VM_PROP_READONLY = 1 << 1,
  VM_PROP_HIDDEN   = 1 << 2, /* settable, but not shown in help */
} VmPropFlags;

/* How a value that is not a plain number is read and written. FIELD points into the object. */
typedef struct VmPropCustom {
  const char *type_name;   /* as shown by help: "str", "chardev", "drive" ... */
  bool  (*set) (VmObject *obj, void *field, const char *text, GError **error);
  char *(*get) (VmObject *obj, const void *field); /* newly allocated, or NULL when unset */
  void  (*clear) (VmObject *obj, void *field);     /* releases what set took */
  bool  json;                                      /* the text is JSON: QMP shows the value, not a string */
} VmPropCustom;

struct VmProp {
  const char         *name;
  const char         *help;
  VmPropKind          kind;
  uint8_t             flags;
  uint8_t             bit;       /* VM_PROP_BIT */
  uint32_t            width;     /* bytes of the field */
  uint32_t            offset;    /* of the field from the start of the struct */
  uint64_t            def;       /* default: number, or address of a string literal */
  const char *const  *names;     /* VM_PROP_ENUM: NULL-terminated */
  const VmType       *link_type; /* VM_PROP_LINK */
  const VmPropCustom *custom;
  const VmProp       *embed;     /* VM_PROP_EMBED */
  void (*changed) (VmObject *obj); /* after a runtime set */
};

/* Picks the kind from the field's type; an unsupported type does not compile. */
#define VM_PROP_KIND_OF(type, field)                                                             \
  _Generic (((type *) 0)->field, bool: VM_PROP_BOOL, uint8_t: VM_PROP_U8, uint16_t: VM_PROP_U16, \
            uint32_t: VM_PROP_U32, uint64_t: VM_PROP_U64, int32_t: VM_PROP_I32,                  \
            int64_t: VM_PROP_I64, char *: VM_PROP_STR)

#define VM_PROP_COMMON(type, field)                                                              \
  .offset = offsetof (type, field), .width = sizeof (((type *) 0)->field)

#define VM_PROP(pname, type, field, defval, phelp)                                               \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_KIND_OF (type, field),                     \
    .def = (uint64_t) (defval), VM_PROP_COMMON (type, field) }
/* A default string literal: not evaluated as a number. */
#define VM_PROP_STRING(pname, type, field, defval, phelp)                                        \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_STR, .def = (uint64_t) (uintptr_t) (defval), \
    VM_PROP_COMMON (type, field) }
#define VM_PROP_RT(pname, type, field, defval, phelp, changed_func)                              \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_KIND_OF (type, field),                     \
    .def = (uint64_t) (defval), .flags = VM_PROP_RUNTIME, .changed = (changed_func),             \
    VM_PROP_COMMON (type, field) }
#define VM_PROP_BYTES(pname, type, field, defval, phelp)                                         \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_SIZE, .def = (uint64_t) (defval),          \
    VM_PROP_COMMON (type, field) }
#define VM_PROP_BITOF(pname, type, field, bitno, defval, phelp)                                  \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_BIT, .bit = (bitno),                       \
    .def = (uint64_t) (defval), VM_PROP_COMMON (type, field) }
#define VM_PROP_ENUMERATED(pname, type, field, defval, value_names, phelp)                       \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_ENUM, .def = (uint64_t) (defval),          \
    .names = (value_names), VM_PROP_COMMON (type, field) }
#define VM_PROP_AUTO(pname, type, field, defval, phelp)                                          \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_ONOFFAUTO, .def = (uint64_t) (defval),     \
    VM_PROP_COMMON (type, field) }
#define VM_PROP_LINK_TO(pname, type, field, target_type, phelp)                                  \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_LINK, .link_type = (target_type),          \
    VM_PROP_COMMON (type, field) }
/* DEFVAL is a string the custom setter understands, or NULL. */
#define VM_PROP_CUSTOM_KIND(pname, type, field, custom_ops, defval, phelp)                       \
  { .name = (pname), .help = (phelp), .kind = VM_PROP_CUSTOM, .custom = (custom_ops),            \
    .def = (uint64_t) (uintptr_t) (defval), VM_PROP_COMMON (type, field) }
#define VM_PROP_EMBED(type, field, table)                                                        \
  { .name = "", .kind = VM_PROP_EMBED, .embed = (table), VM_PROP_COMMON (type, field) }

/* --- saved fields (read by engine/state for save and load) ------------------------------------- */

typedef enum VmFieldKind { VM_FIELD_END, VM_FIELD_NUMBER, VM_FIELD_BYTES, VM_FIELD_STRUCT, VM_FIELD_TIMER,
                           VM_FIELD_BUFFER } VmFieldKind;

struct VmField {
  const char    *name;
  VmFieldKind    kind;
  uint8_t        since;   /* version of the type that introduced it; 0 and 1 mean from the start */
  bool           boolean; /* a number that is a bool: anything but 0 and 1 is refused */
  uint32_t       offset;
  uint32_t       size;    /* of one element */
  uint32_t       count;   /* elements; 1 for a scalar */
  const VmField *fields;  /* VM_FIELD_STRUCT */
  uint32_t       length_offset; /* VM_FIELD_BUFFER: a pointer whose byte length is this uint32_t field */
};

#define VM_FIELD_CHECK_NUMBER(type, field)                                                       \
  _Generic (((type *) 0)->field, bool: 1, uint8_t: 1, uint16_t: 1, uint32_t: 1, uint64_t: 1,     \
            int8_t: 1, int16_t: 1, int32_t: 1, int64_t: 1)
#define VM_FIELD_IS_BOOL(field) _Generic ((field), bool: true, default: false)
/* A number, bool or enum held in a fixed-width integer. */
#define VM_FIELD(type, field) VM_FIELD_SINCE (type, field, 1)
#define VM_FIELD_SINCE(type, field, version)                                                     \
  { .name = #field, .kind = VM_FIELD_CHECK_NUMBER (type, field) ? VM_FIELD_NUMBER : 0,           \
    .since = (version), .offset = offsetof (type, field), .size = sizeof (((type *) 0)->field),  \
    .count = 1, .boolean = VM_FIELD_IS_BOOL (((type *) 0)->field) }
/* An array of numbers (or of bytes) with fixed length. */
#define VM_FIELD_ARRAY(type, field)                                                              \
  { .name = #field, .kind = VM_FIELD_NUMBER, .offset = offsetof (type, field),                   \
    .size = sizeof (((type *) 0)->field[0]), .count = G_N_ELEMENTS (((type *) 0)->field),        \
    .boolean = VM_FIELD_IS_BOOL (((type *) 0)->field[0]) }
/* One embedded struct, or an array of them, with a table of its own. */
#define VM_FIELD_EMBED(type, field, table)                                                       \
  { .name = #field, .kind = VM_FIELD_STRUCT, .offset = offsetof (type, field),                   \
    .size = sizeof (((type *) 0)->field), .count = 1, .fields = (table) }
#define VM_FIELD_EMBED_ARRAY(type, field, table)                                                 \
  { .name = #field, .kind = VM_FIELD_STRUCT, .offset = offsetof (type, field),                   \
    .size = sizeof (((type *) 0)->field[0]), .count = G_N_ELEMENTS (((type *) 0)->field),        \
    .fields = (table) }
/* A VmTimer: its pending state and expiry. */
#define VM_FIELD_TIMER_OF(type, field)                                                           \
  { .name = #field, .kind = VM_FIELD_TIMER, .offset = offsetof (type, field), .count = 1 }
/* Heap bytes of fixed size for the object's life, pointed to by FIELD, length in the uint32_t LENGTH. */
#define VM_FIELD_HEAP(type, field, length)                                                       \
  { .name = #field, .kind = VM_FIELD_BUFFER, .offset = offsetof (type, field), .count = 1,       \
    .length_offset = offsetof (type, length) }

/* --- types ------------------------------------------------------------------------------------- */

struct VmType {
  const char    *name;
  const VmType  *parent;
  size_t         size;       /* of the instance struct; starts with the parent's struct */
  const char    *help;       /* a sentence */
  bool           abstract;
  uint8_t        version;    /* of the state table; 0 means 1 */
  const VmProp  *props;      /* ends with { 0 }; the parent's come first */
  const VmField *state;      /* ends with { 0 } */
  const void    *klass;      /* what the family needs to know: VmDeviceClass, VmPciClass, ... or NULL */
  void (*init) (VmObject *obj);     /* beyond property defaults; parent's first */
  void (*finalize) (VmObject *obj); /* child's first */
};

struct VmObject {
  const VmType *type;
  char         *id;       /* name in the parent; owned */
  VmObject     *parent;
  GPtrArray    *children; /* owned references, in creation order; NULL when none */
  int           refs;     /* atomic */
  bool          frozen;   /* properties that are not runtime can no longer be set */
  bool          embedded; /* part of another struct: finalized, but not freed */
  VmObject     *scope;    /* the root where links are looked up until it is in the tree; not owned */
};

extern const VmType vm_object_type;
extern const VmType vm_container_type; /* a folder of the tree */

/* The registry: one sorted list, handed over once by main() (generated from meson's list of types). */
typedef struct VmTypeList VmTypeList;
VmTypeList   *vm_type_list_new (const VmType *const *types, size_t n);
void          vm_type_list_free (VmTypeList *list);
const VmType *vm_type_find (const VmTypeList *list, const char *name);
/* Calls FUNC for each type that is (a child of) PARENT, abstract ones included, by name order. */
void          vm_type_foreach (const VmTypeList *list, const VmType *parent,
                               void (*func) (const VmType *type, void *opaque), void *opaque);
bool          vm_type_is_a (const VmType *type, const VmType *ancestor);
/* Nearest klass pointer on the way up from TYPE; NULL when none. */
const void   *vm_type_klass (const VmType *type);
/* Walks all properties, those of parents first, embedded tables flattened; stops when FUNC returns false.
 * OFFSET is the field's place in the instance. A type's property hides one of the same name of its parents:
 * that is how a default is changed. */
void          vm_type_foreach_prop (const VmType *type,
                                    bool (*func) (const VmProp *prop, uint32_t offset, void *opaque),
                                    void *opaque);
const VmProp *vm_type_find_prop (const VmType *type, const char *name, uint32_t *offset);
/* Those of TYPE's own table only, embedded tables flattened. */
bool          vm_type_foreach_own_prop (const VmType *type,
                                        bool (*func) (const VmProp *prop, uint32_t offset, void *opaque),
                                        void *opaque);
/* "bool", "uint32", "size", "str", "chardev", ... as help shows it. */
const char   *vm_prop_type_name (const VmProp *prop);

/* --- objects ----------------------------------------------------------------------------------- */

/* One reference, not in the tree; defaults set. Memory is 64-byte aligned and zeroed. */
VmObject *vm_object_new (const VmType *type);
VmObject *vm_object_ref (VmObject *obj);
void      vm_object_unref (VmObject *obj);
/* The same for a struct that is part of a bigger one and zeroed. The last unref finalizes it. */
void      vm_object_init_embedded (VmObject *obj, const VmType *type);
bool      vm_object_is_a (const VmObject *obj, const VmType *type);

/* Tree. The parent takes a reference. An id of NULL makes "TYPE[n]". */
void      vm_object_add_child (VmObject *parent, const char *id, VmObject *child);
void      vm_object_remove_child (VmObject *child);
/* The id it will have, before it is in the tree. */
void      vm_object_set_id (VmObject *obj, const char *id);
/* Top of the tree OBJ is in, or its scope; NULL when it has neither. */
VmObject *vm_object_root (const VmObject *obj);
/* The folder at PATH ("machine/peripheral") below ROOT, made when missing. */
VmObject *vm_object_container (VmObject *root, const char *path);
VmObject *vm_object_child (const VmObject *parent, const char *id);
/* "/machine/peripheral/net0", or an id anywhere below ROOT when it names one object only. */
VmObject *vm_object_resolve (VmObject *root, const char *path);
char     *vm_object_path (const VmObject *obj);

/* Properties by name, as text (command line, machine defaults, -global, qom-set of strings). A value that
 * does not fit fails with the wording of the option rules: "Parameter 'x' expects ...". */
bool  vm_object_set (VmObject *obj, const char *name, const char *value, GError **error);
char *vm_object_get (VmObject *obj, const char *name, GError **error);
/* Fails unless the property exists and is still settable: for callers with values of their own kind. */
const VmProp *vm_object_settable_prop (VmObject *obj, const char *name, uint32_t *offset, GError **error);
/* Value of a numeric, boolean, bit or enumerated property. */
uint64_t vm_prop_number (const VmProp *prop, const void *field);
/* Programmers' setters for code that builds machines: an unknown name is an assertion. */
void  vm_object_set_uint (VmObject *obj, const char *name, uint64_t value);
void  vm_object_set_str (VmObject *obj, const char *name, const char *value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmObject, vm_object_unref)
