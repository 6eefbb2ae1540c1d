// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Every way a call can revert, one function each.
contract Reverter {
    error Refused(address caller, uint256 code);

    uint256[] private empty;

    /// Error(string)
    function failWithReason() external payable {
        revert("this always fails");
    }

    /// Panic(0x11): arithmetic overflow
    function failWithPanic(uint256 number) external pure returns (uint256) {
        return number - type(uint256).max;
    }

    /// Panic(0x32): array index out of bounds
    function failWithIndex() external view returns (uint256) {
        return empty[1];
    }

    /// Panic(0x01): assertion
    function failWithAssert() external pure {
        assert(false);
    }

    /// A custom error with arguments
    function failWithCustom() external payable {
        revert Refused(msg.sender, 7);
    }

    /// No data at all
    function failSilently() external payable {
        revert();
    }

    /// Uses up whatever gas it is given
    function burnAllGas() external payable {
        assembly {
            invalid()
        }
    }
}
