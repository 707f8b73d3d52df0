package io.edgetx.example

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class PreparedTest {
    @Test
    fun accentsAndCapitalsGo() {
        assertEquals("angstrom ubung", Prepared.UNCASED.apply("Ångström Übung"))
        assertEquals("Ångström", Prepared.CASED.apply("Ångström"))
    }

    @Test
    fun chineseCharactersStandApart() {
        assertEquals(" 东  京 tower", Prepared.UNCASED.apply("东京Tower"))
    }

    @Test
    fun controlCharactersGoAndSpacesStay() {
        assertEquals("a b c d", Prepared.UNCASED.apply("a\tb\u00a0c\u2003d\u0007\ufffd"))
    }

    @Test
    fun anUnknownFormIsToldApart() {
        assertThrows(ModelException::class.java) { Prepared.of("klingon") }
    }
}
