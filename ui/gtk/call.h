/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands from widgets to the engine and the JSON that goes there and back. Nothing waits: the engine carries them out
 * on its own thread, in order, and the answer comes on the main loop. */
#pragma once

#include <glib-object.h>
#include <json-c/json.h>

#include "engine/machine/session.h"

/* RESULT is NULL on failure. Of a line of the human monitor it is a string: what that printed. */
typedef void (*VmAnswer) (gpointer owner, json_object *result, const GError *error, gpointer data);

/* OWNER is an object that stays until the answer. Takes ARGUMENTS (NULL: none). ANSWER may be NULL. */
void vm_call (VmSession *session, gpointer owner, const char *command, json_object *arguments, VmAnswer answer,
              gpointer data);
void vm_call_hmp (VmSession *session, gpointer owner, const char *line, VmAnswer answer, gpointer data);
void vm_call_find_place (VmSession *session, gpointer owner, const char *driver, VmAnswer answer, gpointer data);

/* {"KEY": VALUE, ...}: pairs, each value taken, then NULL. */
json_object *vm_json_dict (const char *key, ...) G_GNUC_NULL_TERMINATED;
#define VM_TEXT(text) json_object_new_string (text)
#define VM_FLAG(flag) json_object_new_boolean (flag)
/* Members of what may be NULL or no object: "" , 0, false, NULL when there is none. */
json_object *vm_json_get (json_object *object, const char *key);
const char *vm_json_text (json_object *object, const char *key);
int64_t vm_json_number (json_object *object, const char *key);
bool vm_json_flag (json_object *object, const char *key);
/* Of what may be no array. */
size_t vm_json_length (json_object *array);
/* A word of the human monitor's language that means TEXT. */
char *vm_hmp_word (const char *text);
