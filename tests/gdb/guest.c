/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the debugger looks at: a 64-bit kernel started by PVH on two processors. Physical memory is at 0, up to 4 GiB,
 * and the first gigabyte once more at ALIAS. */
#include <stdint.h>

#define ALIAS 0x200000000ull

asm (".section .note.pvh, \"a\"\n"
     "  .long 4, 4, 18\n"
     "  .asciz \"Xen\"\n"
     "  .long start\n"
     ".section .text\n"
     ".code32\n"
     ".global start\n"
     "start:\n"
     "  mov $stack_0, %esp\n"
     "  mov $tables + 0x1003, %eax\n" /* level 4: one entry */
     "  mov %eax, tables\n"
     "  mov $4, %ecx\n" /* level 3: four gigabytes */
     "  mov $tables + 0x2003, %eax\n"
     "  mov $tables + 0x1000, %edi\n"
     "1: mov %eax, (%edi)\n"
     "  add $0x1000, %eax\n"
     "  add $8, %edi\n"
     "  loop 1b\n"
     "  movl $tables + 0x2003, tables + 0x1040\n" /* 8 GiB: the first one again */
     "  mov $2048, %ecx\n" /* level 2: large pages */
     "  mov $0x83, %eax\n"
     "  mov $tables + 0x2000, %edi\n"
     "1: mov %eax, (%edi)\n"
     "  add $0x200000, %eax\n"
     "  add $8, %edi\n"
     "  loop 1b\n"
     "  mov $first, %ebx\n"
     "enter:\n" /* long mode; RSP in ESP, goes on at EBX */
     "  lgdt table\n"
     "  mov $0x620, %eax\n" /* PAE, OSFXSR, OSXMMEXCPT */
     "  mov %eax, %cr4\n"
     "  mov $tables, %eax\n"
     "  mov %eax, %cr3\n"
     "  mov $0xc0000080, %ecx\n"
     "  rdmsr\n"
     "  or $0x101, %eax\n"
     "  wrmsr\n"
     "  mov $0x80000033, %eax\n" /* PG, NE, ET, MP, PE */
     "  mov %eax, %cr0\n"
     "  ljmp $8, $long_mode\n"
     ".code64\n"
     "long_mode:\n"
     "  mov $16, %eax\n"
     "  mov %eax, %ds\n"
     "  mov %eax, %es\n"
     "  mov %eax, %ss\n"
     "  jmp *%rbx\n"
     ".code16\n"
     "second_begins:\n" /* copied to 0x8000 */
     "  cli\n"
     "  xor %ax, %ax\n"
     "  mov %ax, %ds\n"
     "  lgdtl 0x8000 + real_table - second_begins\n"
     "  mov %cr0, %eax\n"
     "  or $1, %al\n"
     "  mov %eax, %cr0\n"
     "  ljmpl $24, $second_32\n"
     "real_table:\n"
     "  .word 31\n"
     "  .long segments\n"
     "second_ends:\n"
     ".code32\n"
     "second_32:\n"
     "  mov $16, %eax\n"
     "  mov %eax, %ds\n"
     "  mov %eax, %ss\n"
     "  mov $stack_1, %esp\n"
     "  mov $second, %ebx\n"
     "  jmp enter\n"
     ".code64\n"
     ".section .data\n"
     ".balign 8\n"
     "segments: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff\n"
     "table: .word 31\n"
     "  .quad segments\n"
     ".section .bss\n"
     ".balign 4096\n"
     "tables: .skip 0x6000\n"
     "  .skip 4096\n"
     "stack_0:\n"
     "  .skip 4096\n"
     "stack_1:\n"
     ".text\n");

extern const uint8_t second_begins[], second_ends[];
void first (void), second (void);

volatile uint64_t magic = 0x1122334455667788;
volatile uint64_t counter, watched, other_counter, other_watched;
volatile uint32_t go;

static void
out (uint16_t port, uint8_t value)
{
  asm volatile ("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void
print (const char *text)
{
  for (; *text; text++)
    out (0x3f8, *text);
}

static void
write_msr (uint32_t number, uint64_t value)
{
  asm volatile ("wrmsr" : : "c"(number), "a"((uint32_t) value), "d"((uint32_t) (value >> 32)));
}

__attribute__ ((noinline)) void
tick (uint64_t step)
{
  counter += step;
}

__attribute__ ((noinline)) void
touch (uint64_t value)
{
  watched = value;
}

__attribute__ ((noinline)) void
other_tick (void)
{
  other_counter++;
}

__attribute__ ((noinline)) void
vectors (void)
{
  static const uint32_t numbers[4] = { 1, 2, 3, 4 };

  asm volatile ("movups %0, %%xmm1\n\tmovaps %%xmm1, %%xmm2\n\tpaddd %%xmm2, %%xmm2" : : "m"(numbers));
  asm volatile (".global loaded\nloaded: nop");
}

static void
start_second (void)
{
  volatile uint32_t *apic = (uint32_t *) 0xfee00000;
  uint8_t *low = (uint8_t *) 0x8000;

  for (const uint8_t *p = second_begins; p < second_ends; p++)
    *low++ = *p;
  apic[0xf0 / 4] = 0x1ff;
  apic[0x310 / 4] = 1u << 24;
  apic[0x300 / 4] = 0x4500; /* INIT */
  for (volatile int i = 0; i < 100000; i++)
    ;
  apic[0x310 / 4] = 1u << 24;
  apic[0x300 / 4] = 0x4608; /* start-up at 0x8000 */
}

void
first (void)
{
  write_msr (0xc0000101, 0x123456789000);
  write_msr (0xc0000102, 0xfff000);
  print ("ready\n");
  start_second ();
  for (uint64_t i = 1;; i++)
    {
      tick (1);
      if (i % 64 == 0)
        touch (i);
      vectors ();
    }
}

void
second (void)
{
  for (;;)
    {
      other_tick ();
      if (go)
        {
          go = 0;
          other_watched = other_counter;
        }
    }
}
