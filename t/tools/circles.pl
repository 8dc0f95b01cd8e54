#!/usr/bin/perl
# circles.pl DIR KNOWN FILE.o...: which of our object files take symbols from each other in a
# circle. DIR is where the object files are (its directories are those of the source). The files
# of a circle cannot be understood or tested apart.
#
# KNOWN has one line, with its files, for each circle that is still there. Every other circle is
# printed with the symbols that close it, and is a failure; so is a known circle that is gone or
# has other files: its line has to follow.
use strict;
use warnings;

my ($dir, $known_file, @objects) = @ARGV;
open my $list, '<', $known_file or die "$known_file: $!\n";
my %known = map { join(' ', sort split) => 1 } grep { !/^(?:#|$)/ } <$list>;

my (%home, %needs, %uses, @files);
for my $object (@objects) {
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

# Tarjan's strongly connected components.
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

my @new = grep { !delete $known{"@$_"} } sort { $a->[0] cmp $b->[0] } @circles;
for my $circle (@new) {
    my %in = map { $_ => 1 } @$circle;
    print 'circle of ', scalar(@$circle), ' files: ', "@$circle", "\n";
    for my $from (@$circle) {
        for my $to (grep { $in{$_} } sort keys %{ $uses{$from} }) {
            print "  $from -> $to: ", join(' ', sort @{ $uses{$from}{$to} }), "\n";
        }
    }
}
print "not a circle any more, or of other files: $_ (see $known_file)\n" for sort keys %known;
print scalar(@files), ' object files, ', @circles - @new, ' known circle(s), ', scalar(@new), " new\n";
exit(@new || %known ? 1 : 0);
