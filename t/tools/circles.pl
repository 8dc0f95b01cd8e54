#!/usr/bin/perl
# circles.pl DIR FILE.o...: which of our object files take symbols from each other in a circle.
# DIR is where the object files are (its folders are those of the source). Files of one circle
# cannot be understood or tested apart. Prints each circle with the symbols that close it, and
# fails if there is one.
use strict;
use warnings;

my $dir = shift;
my (%home, %needs, %uses, @files);
for my $object (@ARGV) {
    my $file = $object =~ s{^\Q$dir\E/}{}r =~ s/\.o$//r;
    push @files, $file;
    open my $nm, '-|', 'nm', $object or die "nm: $!\n";
    while (<$nm>) {
        my ($kind, $name) = /^[0-9a-f ]{16} ([A-Za-z]) (\S+)$/ or next;
        $home{$name} = $file if $kind =~ /[TDBRCV]/;
        $needs{$file}{$name} = 1 if $kind eq 'U';
    }
}
for my $file (@files) {
    for my $name (keys %{ $needs{$file} }) {
        my $of = $home{$name} // next;
        push @{ $uses{$file}{$of} }, $name if $of ne $file;
    }
}

# Tarjan: strongly connected components.
my ($n, %index, %low, %on, @stack, @circles) = (0);
sub visit
{
    my ($v) = @_;
    no warnings 'recursion';
    $index{$v} = $low{$v} = $n++;
    push @stack, $v;
    $on{$v} = 1;
    for my $w (sort keys %{ $uses{$v} // {} }) {
        visit($w) if !defined $index{$w};
        $low{$v} = $low{$w} if $on{$w} && $low{$w} < $low{$v};
    }
    return if $low{$v} != $index{$v};
    my @circle;
    do { push @circle, pop @stack; $on{ $circle[-1] } = 0 } while $circle[-1] ne $v;
    push @circles, [sort @circle] if @circle > 1;
    return;
}
defined $index{$_} or visit($_) for sort @files;

for my $circle (sort { $a->[0] cmp $b->[0] } @circles) {
    my %in = map { $_ => 1 } @$circle;
    print 'circle of ', scalar(@$circle), ' files: ', join(' ', @$circle), "\n";
    for my $from (@$circle) {
        for my $to (grep { $in{$_} } sort keys %{ $uses{$from} }) {
            print "  $from -> $to: ", join(' ', sort @{ $uses{$from}{$to} }), "\n";
        }
    }
}
print scalar(@files), ' object files, ', scalar(@circles) || 'no', ' circle', @circles == 1 ? '' : 's', "\n";
exit(@circles ? 1 : 0);
