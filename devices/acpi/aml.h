/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A writer of ACPI Machine Language (ACPI 6.4, chapter 20). AML is prefix code: an operator is written, then its
 * operands by further calls. What has a package length is opened by a _begin function and closed by
 * vm_aml_end(). */
#pragma once

#include "engine/base/base.h"

typedef struct VmAml {
  GByteArray *bytes;
  GArray     *open; /* where the length of each open package goes */
} VmAml;

enum { /* operators with a byte of their own; 0x5bxx are the extended ones */
  VM_AML_ZERO = 0x00, VM_AML_ONE = 0x01, VM_AML_ONES = 0xff, VM_AML_STORE = 0x70, VM_AML_ADD = 0x72,
  VM_AML_SUBTRACT = 0x74, VM_AML_SHIFT_LEFT = 0x79, VM_AML_SHIFT_RIGHT = 0x7a, VM_AML_AND = 0x7b, VM_AML_OR = 0x7d,
  VM_AML_NOTIFY = 0x86, VM_AML_LAND = 0x90, VM_AML_LOR = 0x91, VM_AML_LNOT = 0x92, VM_AML_LEQUAL = 0x93,
  VM_AML_LGREATER = 0x94, VM_AML_LLESS = 0x95, VM_AML_RETURN = 0xa4, VM_AML_LOCAL0 = 0x60, VM_AML_ARG0 = 0x68,
  VM_AML_INDEX = 0x88, VM_AML_DEREF_OF = 0x83, VM_AML_SIZE_OF = 0x87, VM_AML_INCREMENT = 0x75,
  VM_AML_CREATE_DWORD_FIELD = 0x8a, VM_AML_ARG1 = 0x69,
  /* Two bytes: this one, then one of the next. */
  VM_AML_EXTENDED = 0x5b, VM_AML_EXT_MUTEX = 0x01, VM_AML_EXT_ACQUIRE = 0x23, VM_AML_EXT_RELEASE = 0x27,
};
enum { VM_AML_SPACE_MEMORY, VM_AML_SPACE_IO, VM_AML_SPACE_PCI_CONFIG };
enum { VM_AML_ACCESS_ANY, VM_AML_ACCESS_BYTE, VM_AML_ACCESS_WORD, VM_AML_ACCESS_DWORD };

VmAml  *vm_aml_new (void);
void    vm_aml_free (VmAml *aml);
void    vm_aml_end (VmAml *aml);

/* Terms. */
void vm_aml_op (VmAml *aml, uint8_t op);
void vm_aml_int (VmAml *aml, uint64_t value);
void vm_aml_string (VmAml *aml, const char *text);
void vm_aml_path (VmAml *aml, const char *path); /* "\\_SB.PCI0", "^LNKA", "ABCD"; short segments are padded */
void vm_aml_eisa_id (VmAml *aml, const char *id); /* "PNP0303" as an integer */
void vm_aml_buffer (VmAml *aml, const void *data, size_t size);

/* Named objects: Name (PATH, ...) wants its value by the next call. */
void vm_aml_name (VmAml *aml, const char *path);
void vm_aml_name_int (VmAml *aml, const char *path, uint64_t value);
void vm_aml_name_string (VmAml *aml, const char *path, const char *text);
void vm_aml_name_eisa_id (VmAml *aml, const char *path, const char *id);

void vm_aml_scope_begin (VmAml *aml, const char *path);
void vm_aml_device_begin (VmAml *aml, const char *path);
void vm_aml_method_begin (VmAml *aml, const char *path, unsigned args, bool serialized);
void vm_aml_package_begin (VmAml *aml, unsigned elements);
void vm_aml_if_begin (VmAml *aml);   /* the predicate comes next, then the body */
void vm_aml_else_begin (VmAml *aml); /* right after the end of its If */
void vm_aml_while_begin (VmAml *aml);
void vm_aml_operation_region (VmAml *aml, const char *path, unsigned space, uint64_t offset, uint64_t length);
void vm_aml_field_begin (VmAml *aml, const char *region, unsigned access);
void vm_aml_field_unit (VmAml *aml, const char *name, unsigned bits); /* NULL: reserved */
void vm_aml_processor_begin (VmAml *aml, const char *path, uint8_t id);

/* Resource templates: descriptors between _begin and _end become one Buffer. */
typedef struct VmAmlResources VmAmlResources;
VmAmlResources *vm_aml_resources_new (void);
void vm_aml_res_io (VmAmlResources *res, uint16_t min, uint16_t max, uint8_t align, uint8_t length);
void vm_aml_res_irq_noflags (VmAmlResources *res, unsigned irq);
void vm_aml_res_irqs (VmAmlResources *res, uint16_t mask, bool level, bool active_low, bool shared);
void vm_aml_res_interrupt (VmAmlResources *res, bool shared, const uint32_t *irqs, unsigned n); /* level, high */
void vm_aml_res_dma (VmAmlResources *res, uint8_t mask);
void vm_aml_res_fixed_memory (VmAmlResources *res, uint32_t base, uint32_t length, bool writable);
void vm_aml_res_bus (VmAmlResources *res, uint16_t min, uint16_t max);
void vm_aml_res_io_window (VmAmlResources *res, uint16_t min, uint16_t max);
void vm_aml_res_memory_window (VmAmlResources *res, uint32_t min, uint32_t max, bool cacheable);
void vm_aml_res_memory_window64 (VmAmlResources *res, uint64_t min, uint64_t max);
/* Writes the Buffer and frees RES. */
void vm_aml_resources_end (VmAml *aml, VmAmlResources *res);
