/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values described by the schema: reading them from JSON and from key=value lists, writing and freeing them,
 * and the tables of commands and events. The tables are generated from engine/schema/ *.json. */
#pragma once

#include "engine/base/base.h"
#include "engine/object/object.h"
#include "engine/schema/policy.h"

#include <json-c/json.h>

typedef struct VmSchemaType VmSchemaType;
typedef struct VmSchemaMember VmSchemaMember;

typedef enum VmSchemaKind
{
  VM_SCHEMA_STR,    /* char * */
  VM_SCHEMA_INT,    /* int64_t */
  VM_SCHEMA_SIZE,   /* uint64_t; text may have a suffix */
  VM_SCHEMA_NUMBER, /* double */
  VM_SCHEMA_BOOL,   /* bool */
  VM_SCHEMA_ANY,    /* json_object *; of an alternate, what it may be is only told */
  VM_SCHEMA_ENUM,   /* int */
  VM_SCHEMA_STRUCT, /* pointer to a struct */
  VM_SCHEMA_LIST,   /* GPtrArray * of strings, structs or any, GArray * of int64_t or int */
} VmSchemaKind;

struct VmSchemaMember
{
  const char *name;
  const VmSchemaType *type;
  bool optional;
  uint8_t flags; /* VM_SCHEMA_DEPRECATED, VM_SCHEMA_UNSTABLE */
  uint32_t offset;
  uint32_t has_offset; /* of the bool that tells whether it is there; 0: NULL does */
};

struct VmSchemaType
{
  const char *name;
  VmSchemaKind kind;
  bool open;                           /* struct: members not named are let through (device_add) */
  uint32_t size;                       /* struct */
  const VmSchemaMember *members;       /* struct; ends with a NULL name */
  const char *const *names;            /* enum; ends with NULL */
  const VmSchemaType *element;         /* list */
  const char *tag;                     /* union: the member that selects the variant */
  const VmSchemaType *const *variants; /* by value of the tag; NULL: nothing more. Of an alternate: its types, then NULL */
  uint32_t variant_offset;             /* of the pointer to the variant's struct */
};

typedef enum VmSchemaFlags
{
  VM_SCHEMA_OOB = 1 << 0,       /* may be run out of band */
  VM_SCHEMA_PRECONFIG = 1 << 1, /* allowed before the machine exists */
  VM_SCHEMA_DEPRECATED = 1 << 2, /* the features of the same names */
  VM_SCHEMA_UNSTABLE = 1 << 3,
} VmSchemaFlags;

typedef struct VmSchemaCommand
{
  const char *name, *help;
  const VmSchemaType *arguments; /* NULL: none */
  const VmSchemaType *returns;   /* NULL: nothing */
  uint32_t flags;
  const char *family;      /* open: a member names a type of this family, the others are its properties */
  const char *features[4]; /* what a client may rely on; ends with NULL */
} VmSchemaCommand;

typedef struct VmSchemaEvent
{
  const char *name, *help;
  const VmSchemaType *data; /* NULL: none */
  uint32_t rate_ms;         /* at most one in this time, the last wins; 0: no limit */
  const char *rate_key;     /* member that tells sources apart; NULL: one for all */
  uint32_t flags;
} VmSchemaEvent;

extern const VmSchemaCommand vm_schema_commands[]; /* sorted; ends with a NULL name */
extern const VmSchemaEvent vm_schema_events[];
extern const VmSchemaType vm_schema_str, vm_schema_int, vm_schema_size, vm_schema_number, vm_schema_bool, vm_schema_any,
    vm_schema_null;

typedef enum VmSchemaSource
{
  VM_SCHEMA_JSON,
  VM_SCHEMA_TEXT, /* every scalar is a string, as key=value lists give it */
} VmSchemaSource;

/* A new value of struct TYPE; NULL with ERROR set in the wording clients know ("Parameter 'x' is missing"). PATH
 * goes before the names in messages ("smp": 'smp.cpus'); NULL: nothing. */
void *vm_schema_read (const VmSchemaType *type, json_object *json, VmSchemaSource source, const char *path,
                      GError **error);
/* The same for a client that POLICY (NULL: none) may keep from using some members. */
void *vm_schema_read_policed (const VmSchemaType *type, json_object *json, const VmCompatPolicy *policy,
                              GError **error);
/* Whether POLICY lets KIND ("command", "parameter") NAME in; ends the process when it says "crash". */
bool vm_schema_admit (const VmCompatPolicy *policy, uint32_t flags, const char *kind, const char *name,
                      GError **error);
bool vm_schema_is_hidden (const VmCompatPolicy *policy, uint32_t flags);
/* Of any type; VALUE is what a member of TYPE would hold: a pointer to it. */
json_object *vm_schema_write (const VmSchemaType *type, const void *value);
json_object *vm_schema_write_policed (const VmSchemaType *type, const void *value, const VmCompatPolicy *policy);
void vm_schema_free (const VmSchemaType *type, void *value); /* of a struct, list, string or any */

const VmSchemaCommand *vm_schema_find_command (const char *name);
const VmSchemaEvent *vm_schema_find_event (const char *name);
int vm_schema_enum_value (const VmSchemaType *type, const char *name); /* -1: none such */
/* The answer of query-qmp-schema; arguments that are the properties of a type are described by TYPES. */
json_object *vm_schema_introspect (const VmTypeList *types, const VmCompatPolicy *policy);
/* {"file.filename": ..., "children.0": ...} in nested form, a new reference. */
json_object *vm_json_nest (json_object *options, GError **error);
/* Text in plain ASCII as clients know it, one line or PRETTY (lines indented by four). */
char *vm_json_to_string (json_object *json, bool pretty);
